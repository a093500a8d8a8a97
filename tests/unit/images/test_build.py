"""When an image is built anew, and what of this machine is lent to the build."""

from __future__ import annotations

import pathlib
import shutil

import pytest

from images import build

ROOT = pathlib.Path(__file__).resolve().parents[3]
OPERATOR, RUNTIME = build.IMAGES


@pytest.fixture
def tree(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A small copy of what images are made from."""
    for name in ("Dockerfile", ".dockerignore", "images/build.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for image in build.IMAGES:
        for name in image.inputs:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".txt"):
                path.write_text("a==1")
            else:
                path.mkdir()
                (path / "code.py").write_text("x = 1")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "operator_too", "runtime_too"),
    [
        ("agent_runtime/code.py", False, True),
        ("operator/agentsystem_operator/code.py", True, False),
        ("requirements/operator.txt", True, False),
        ("requirements/runtime.txt", False, True),
        ("Dockerfile", True, True),
        ("agent_runtime/new.py", False, True),
        ("README.md", False, False),
        ("agent_runtime/__pycache__/code.pyc", False, False),
    ],
)
def test_a_key_changes_with_what_goes_into_the_image(
    tree: pathlib.Path, changed: str, *, operator_too: bool, runtime_too: bool
) -> None:
    before = build.key(OPERATOR), build.key(RUNTIME)

    (tree / changed).parent.mkdir(exist_ok=True)
    (tree / changed).write_text("changed")

    after = build.key(OPERATOR), build.key(RUNTIME)
    assert (before[0] != after[0], before[1] != after[1]) == (operator_too, runtime_too)


def test_the_images_are_named_as_the_manifests_name_them() -> None:
    deployment = (ROOT / "config/manager/deployment.yaml").read_text()

    assert f"image: {OPERATOR.reference()}\n" in deployment
    assert f"value: {RUNTIME.reference()}\n" in deployment
    assert (
        RUNTIME.reference(repository="registry.example.com/team", tag="0.1.0")
        == "registry.example.com/team/agent-runtime:0.1.0"
    )


def test_the_hosts_pip_settings_are_lent_without_its_folders(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("certificates")
    monkeypatch.setenv("PIP_INDEX_URL", "https://pypi.example.com/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/somewhere")
    monkeypatch.setenv("PIP_CERT", str(bundle))

    mounts = build.lent(tmp_path)

    settings = (tmp_path / "pip.conf").read_text()
    assert "index-url = https://pypi.example.com/simple\n" in settings
    assert "/somewhere" not in settings
    assert str(bundle) not in settings
    assert mounts == [
        f"{tmp_path}/pip.conf:/etc/pip.conf",
        f"{bundle}:/etc/ssl/certs/ca-certificates.crt",
    ]
    assert (tmp_path / "pip.conf").stat().st_mode & 0o077 == 0
