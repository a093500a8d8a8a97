"""The pause image, made from the tree without a container engine, as an OCI archive."""

import contextlib
import gzip
import hashlib
import io
import json
import platform
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from devcluster import node_config

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def oci_archive(name: str, entry: str, program: bytes, architecture: str) -> bytes:
    """Return an OCI archive of one image that holds one static program and runs it.

    The same input gives the same bytes, so a node that has the image recognises it.
    """
    layer = _tar({entry: program}, mode=0o755)
    packed = gzip.compress(layer, mtime=0)
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Entrypoint": [f"/{entry}"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [_descriptor(_LAYER, packed)],
        }
    )
    top = _descriptor(_MANIFEST, manifest)
    top["annotations"] = {"io.containerd.image.name": name}
    files = {f"blobs/sha256/{_digest(blob)[7:]}": blob for blob in (packed, config, manifest)}
    files["index.json"] = _json({"schemaVersion": 2, "manifests": [top]})
    files["oci-layout"] = _json({"imageLayoutVersion": "1.0.0"})
    return _tar(files, mode=0o644)


def of_program(name: str, program: Path) -> bytes:
    """Return an OCI archive of a program built for this machine."""
    machine = platform.machine()
    architecture = _ARCHITECTURES.get(machine, machine)
    return oci_archive(name, program.name, program.read_bytes(), architecture)


@contextlib.contextmanager
def pause_archive(program: Path) -> Iterator[IO[bytes]]:
    """Yield an open file with the pause image's archive."""
    with tempfile.TemporaryFile() as archive:
        archive.write(of_program(node_config.PAUSE_IMAGE, program))
        archive.flush()
        yield archive


def _tar(files: dict[str, bytes], mode: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = mode
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}
