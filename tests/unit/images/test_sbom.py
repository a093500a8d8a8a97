"""What an image's bill of materials says, from archives made here."""

from __future__ import annotations

import hashlib
import io
import json
import pathlib
import tarfile

from images import build, sbom

LIBC = "Package: libc6\nSource: glibc (2.36-9)\nVersion: 1:2.36-9+deb12u14\nArchitecture: amd64\n"
RELEASE = 'VERSION_ID="12"\n'
STATUS, LIB = "var/lib/dpkg/status.d", "app/lib"


def tarred(files: dict[str, str]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return sink.getvalue()


def image_of(folder: pathlib.Path, *layers: dict[str, str]) -> pathlib.Path:
    """An OCI archive with those layers."""
    blobs = {f"sha256:{hashlib.sha256(blob).hexdigest()}": blob for blob in map(tarred, layers)}
    manifest = json.dumps({"layers": [{"digest": digest} for digest in blobs]})
    digest = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
    files = {f"blobs/{name.replace(':', '/')}": blob.decode() for name, blob in blobs.items()}
    files[f"blobs/{digest.replace(':', '/')}"] = manifest
    files["index.json"] = json.dumps({"manifests": [{"digest": digest}]})
    archive = folder / "agent-runtime-abc.tar"
    archive.write_bytes(tarred(files))
    return archive


def test_packages_are_named_as_advisories_name_them(tmp_path: pathlib.Path) -> None:
    archive = image_of(
        tmp_path,
        {"usr/lib/os-release": RELEASE, f"{STATUS}/libc6": LIBC},
        {f"./{LIB}/Py_YAML.x-6.0.dist-info/METADATA": "Name: Py_YAML.x\nVersion: 6.0\n\nText: no"},
    )

    found = sbom.contents(archive)

    assert [package.url for package in found.debian] == [
        "pkg:deb/debian/libc6@1%3A2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12&upstream=glibc"
    ]
    assert found.python == (sbom.Package("py-yaml-x", "6.0", "pkg:pypi/py-yaml-x@6.0"),)


def test_what_a_later_layer_removes_is_not_in_the_image(tmp_path: pathlib.Path) -> None:
    a, b = ({f"{LIB}/{name}-1.dist-info/METADATA": f"Name: {name}\nVersion: 1\n"} for name in "ab")
    debian = {f"{STATUS}/libc6": LIBC}
    gone = {f"{LIB}/.wh.a-1.dist-info": "", f"{STATUS}/.wh..wh..opq": ""}

    found = sbom.contents(image_of(tmp_path, {**a, **b, **debian}, gone))

    assert [package.name for package in found.python] == ["b"]
    assert found.debian == ()


def test_a_bill_lies_beside_its_archive_and_goes_with_it(tmp_path: pathlib.Path) -> None:
    archive = image_of(tmp_path, {f"{STATUS}/libc6": LIBC})
    built = build.Built(image=build.IMAGES[1], archive=archive, key="abc")
    stale = tmp_path / f"agent-runtime-old{sbom.SUFFIX}"
    stale.write_text("{}")

    file = sbom.ensure(built)

    assert file == tmp_path / f"agent-runtime-abc{sbom.SUFFIX}"
    whole = json.loads(file.read_text())
    (component,) = whole["components"]
    assert whole["dependencies"][0]["dependsOn"] == [component["bom-ref"]]
    assert not stale.exists()
    before = file.stat().st_mtime_ns
    assert sbom.ensure(built).stat().st_mtime_ns == before
