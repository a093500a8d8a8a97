"""What is in an image, read from the image itself and written beside its archive (CycloneDX 1.6).

Read are the layers as a node would stack them: Debian's control records in `dpkg/status.d`, and
the metadata of every Python distribution. Names carry package URLs, with the Debian source
package, since that is what advisories are about. The same archive gives the same text.
"""

from __future__ import annotations

import dataclasses
import email
import email.message
import json
import pathlib
import re
import tarfile
import urllib.parse
import uuid
from typing import Any

from images import build, deliver

SUFFIX = ".cdx.json"
DEBIAN = re.compile(r"var/lib/dpkg/status\.d/[^/]+")
PYTHON = re.compile(r"(.*/)?[^/]+\.(dist-info/METADATA|egg-info/PKG-INFO)")
OS_RELEASE = "usr/lib/os-release"
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
Json = dict[str, Any]


@dataclasses.dataclass(frozen=True, order=True)
class Package:
    """One package of an image."""

    name: str
    version: str
    url: str
    """The package URL: kind, name, version, and where it is from."""


@dataclasses.dataclass(frozen=True)
class Contents:
    """All packages of an image, and the image's digest."""

    debian: tuple[Package, ...]
    python: tuple[Package, ...]
    digest: str


def ensure(built: build.Built) -> pathlib.Path:
    """The file that says what is in an archive, written if need be; forgets those of others."""
    for file in built.archive.parent.glob(f"{built.image.name}-*{SUFFIX}"):
        if not file.with_name(file.name.removesuffix(SUFFIX) + ".tar").exists():
            file.unlink()
    file = built.archive.with_name(built.archive.stem + SUFFIX)
    if not file.exists():
        part = file.with_suffix(".part")
        part.write_text(json.dumps(document(built, contents(built.archive)), indent=1) + "\n")
        part.rename(file)
    return file


def contents(archive: pathlib.Path) -> Contents:
    """The packages in an OCI archive."""
    with tarfile.open(archive) as tar:

        def blob(descriptor: Json) -> str:
            return "blobs/" + str(descriptor["digest"]).replace(":", "/")

        def read(name: str) -> Json:
            found: Json = json.loads(whole(tar, name))
            return found

        (found,) = read("index.json")["manifests"]
        files: dict[str, bytes] = {}
        for layer in read(blob(found))["layers"]:
            stack(tar.extractfile(blob(layer)), files)
    release = files.get(OS_RELEASE, b"").decode()
    return Contents(
        debian=packages(debian_package(text, release) for text in matching(DEBIAN, files)),
        python=packages(python_package(text) for text in matching(PYTHON, files)),
        digest=str(found["digest"]),
    )


def whole(tar: tarfile.TarFile, name: str) -> bytes:
    """A member of an archive; KeyError when it has no such file."""
    file = tar.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()


def stack(layer: Any, files: dict[str, bytes]) -> None:
    """Lay a layer over the files of those below; keeps only what is about packages."""
    with tarfile.open(fileobj=layer) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            folder, _, last = name.rpartition("/")
            if last.startswith(WHITEOUT):
                gone = folder if last == OPAQUE else f"{folder}/{last.removeprefix(WHITEOUT)}"
                for path in [path for path in files if f"{path}/".startswith(f"{gone}/")]:
                    del files[path]
            elif member.isfile() and is_about_packages(name):
                files[name] = whole(tar, member.name)


def is_about_packages(name: str) -> bool:
    """Say whether a file tells about packages, or which Debian this is."""
    return name == OS_RELEASE or any(each.fullmatch(name) for each in (DEBIAN, PYTHON))


def matching(names: re.Pattern[str], files: dict[str, bytes]) -> list[str]:
    """The texts of the files with such names."""
    return [text.decode() for name, text in sorted(files.items()) if names.fullmatch(name)]


def packages(found: Any) -> tuple[Package, ...]:
    """Each package once, in order."""
    return tuple(sorted(set(found)))


def debian_package(record: str, release: str) -> Package:
    """The package of a control record."""
    fields = email.message_from_string(record)
    number = re.search(r'^VERSION_ID="?([^"\n]*)', release, re.MULTILINE)
    query = {"arch": fields["Architecture"], "distro": f"debian-{number[1] if number else ''}"}
    if fields["Source"]:
        query["upstream"] = fields["Source"].split()[0]
    version = urllib.parse.quote(fields["Version"], safe="")
    url = f"pkg:deb/debian/{fields['Package']}@{version}?{urllib.parse.urlencode(query)}"
    return Package(fields["Package"], fields["Version"], url)


def python_package(metadata: str) -> Package:
    """The package of a distribution's metadata, under its normalised name."""
    fields: email.message.Message = email.message_from_string(metadata)
    name = re.sub(r"[-_.]+", "-", fields["Name"]).lower()
    version = urllib.parse.quote(fields["Version"], safe="")
    return Package(name, fields["Version"], f"pkg:pypi/{name}@{version}")


def document(built: build.Built, found: Contents) -> Json:
    """The bill of materials of an image, as CycloneDX 1.6 has it."""
    image = f"pkg:oci/{built.image.name}@{urllib.parse.quote(found.digest, safe='')}"
    components = [component(each) for each in (*found.debian, *found.python)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, image)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "bom-ref": image,
                "name": built.image.name,
                "version": deliver.version(),
                "purl": image,
                "hashes": [{"alg": "SHA-256", "content": found.digest.removeprefix("sha256:")}],
            }
        },
        "components": components,
        "dependencies": [{"ref": image, "dependsOn": [each["bom-ref"] for each in components]}],
    }


def component(package: Package) -> Json:
    """One package as a component."""
    return {
        "type": "library",
        "bom-ref": package.url,
        "name": package.name,
        "version": package.version,
        "purl": package.url,
    }
