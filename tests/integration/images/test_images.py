"""The images as built: what is in them, who they run as, and that they start.

Each is unpacked as a node would unpack it and started in a chroot, without a container engine.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import subprocess
import tarfile
from typing import Any

import pytest

from images import build, sbom

USER = "65532:65532"
PYTHON = "/usr/bin/python3"


@dataclasses.dataclass(frozen=True)
class Unpacked:
    """An image's settings, and its files as a folder."""

    settings: dict[str, Any]
    root: pathlib.Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the image's user, with the image's environment."""
        environment = dict(entry.split("=", 1) for entry in self.settings["Env"])
        return subprocess.run(
            ["/usr/sbin/chroot", f"--userspec={USER}", str(self.root), *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def modules(self) -> set[str]:
        """Names of the distributions and packages that Python can import there."""
        shown = self.run(
            PYTHON,
            "-c",
            "import importlib.metadata as m, pkgutil;"
            "print(*{d.name.lower() for d in m.distributions()},"
            "*{p.name.lower() for p in pkgutil.iter_modules()})",
        )
        assert shown.returncode == 0, shown.stderr
        return set(shown.stdout.split())


def unpack(archive: pathlib.Path, into: pathlib.Path) -> Unpacked:
    """Unpack an OCI archive with its layers on top of each other."""
    blobs = into / "oci/blobs/sha256"
    with tarfile.open(archive) as tar:
        tar.extractall(into / "oci", filter="data")

    def blob(descriptor: dict[str, Any]) -> pathlib.Path:
        return blobs / str(descriptor["digest"]).removeprefix("sha256:")

    (found,) = json.loads((into / "oci/index.json").read_text())["manifests"]
    manifest = json.loads(blob(found).read_text())
    for layer in manifest["layers"]:
        with tarfile.open(blob(layer)) as tar:
            tar.extractall(into / "root", filter="tar")
    return Unpacked(json.loads(blob(manifest["config"]).read_text())["config"], into / "root")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Unpacked]:
    """Both images, built if need be."""
    return {
        built.image.target: unpack(built.archive, tmp_path_factory.mktemp(built.image.target))
        for built in build.build_all()
    }


@pytest.mark.parametrize("target", ["operator", "runtime"])
def test_an_image_runs_as_nobody_in_particular(images: dict[str, Unpacked], target: str) -> None:
    image = images[target]

    assert image.settings["User"] == USER
    shown = image.run(PYTHON, "-c", "import os; print(os.getuid(), os.getgid(), os.getgroups())")
    assert shown.stdout == "65532 65532 [65532]\n"


@pytest.mark.parametrize("target", ["operator", "runtime"])
def test_an_image_holds_no_pip_no_shell_no_tests(images: dict[str, Unpacked], target: str) -> None:
    image = images[target]
    programs = {path.name for path in (image.root / "usr/bin").iterdir()}

    assert programs == {"python3", "python3.11"}
    assert not {"pip", "setuptools", "pytest"} & image.modules()
    folders = [path for path in (image.root / "app").rglob("tests") if path.is_dir()]
    assert folders == []


def test_the_operator_image_has_no_official_client_and_the_runtime_no_kopf(
    images: dict[str, Unpacked],
) -> None:
    operator, runtime = images["operator"].modules(), images["runtime"].modules()

    assert {"kopf", "agentsystem_operator"} <= operator
    assert {"uvicorn", "agent_runtime"} <= runtime
    assert not {"kubernetes", "kubernetes_asyncio", "agent_runtime"} & operator
    assert not {"kubernetes", "kopf", "agentsystem_operator"} & runtime


@pytest.mark.parametrize("target", ["operator", "runtime"])
def test_nothing_is_compiled_at_start(images: dict[str, Unpacked], target: str) -> None:
    """Bytecode is there for all code, and is not checked against times: the root is read-only."""
    sources = [
        path
        for folder in ("app", "usr/lib/python3.11")
        for path in (images[target].root / folder).rglob("*.py")
    ]
    cached = [path.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc" for path in sources]

    assert len(sources) > 500
    assert [path for path in cached if not path.is_file()] == []
    assert {path.read_bytes()[4] for path in cached} == {1}  # hash-based, unchecked


def test_agent_runtime_starts_by_its_name(images: dict[str, Unpacked]) -> None:
    image = images["runtime"]

    assert image.settings["Entrypoint"] == ["agent-runtime"]
    shown = image.run("/app/bin/agent-runtime", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "serve" in shown.stdout
    refused = image.run("/app/bin/agent-runtime", "serve", "--config", "/nowhere")
    assert refused.returncode == 2
    assert "/nowhere" in refused.stderr


def test_the_operator_starts_by_its_module(images: dict[str, Unpacked]) -> None:
    image = images["operator"]

    assert image.settings["Entrypoint"] == ["python3", "-m", "agentsystem_operator"]
    shown = image.run(PYTHON, "-m", "agentsystem_operator", "--help")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"--runtime-image", shown.stdout)


def test_a_second_build_takes_no_time_and_gives_the_same(
    images: dict[str, Unpacked], capsys: pytest.CaptureFixture[str]
) -> None:
    first = build.build_all()
    second = build.build_all()

    assert images
    assert first == second
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("target", ["operator", "runtime"])
def test_the_bill_of_materials_names_every_package_in_the_image(
    images: dict[str, Unpacked], target: str
) -> None:
    """Python's are those that Python itself finds there; Debian's those that left their licence."""
    image = images[target]
    (built,) = [each for each in build.build_all() if each.image.target == target]
    listed = json.loads(sbom.ensure(built).read_text())["components"]
    named = {
        kind: {(each["name"], each["version"]) for each in listed if each["purl"].startswith(kind)}
        for kind in ("pkg:pypi/", "pkg:deb/debian/")
    }

    shown = image.run(
        PYTHON,
        "-c",
        "import importlib.metadata as m, re;"
        "print(*{re.sub('[-_.]+', '-', d.name).lower() + '=' + d.version"
        " for d in m.distributions()})",
    )
    python = {tuple(each.split("=")) for each in shown.stdout.split()}
    licences = {path.parent.name for path in (image.root / "usr/share/doc").glob("*/copyright")}
    records = (image.root / "var/lib/dpkg/status.d").iterdir()
    versions = {
        (file.name, re.search(r"^Version: (\S+)$", file.read_text(), re.MULTILINE)[1])  # type: ignore[index]  # each has one
        for file in records
    }

    assert len(python) > 10
    assert named["pkg:pypi/"] == python
    assert named["pkg:deb/debian/"] == versions
    assert {name for name, _ in versions} == licences
    assert len(listed) == len(python) + len(versions)
