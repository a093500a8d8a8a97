"""The pause image is an OCI archive that any runtime reads."""

import gzip
import hashlib
import io
import json
import tarfile

from devcluster import images


def files(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {
            entry.name: content.read()
            for entry in tar
            if (content := tar.extractfile(entry)) is not None
        }


def test_every_blob_is_named_by_its_digest() -> None:
    blobs = {
        name.rpartition("/")[2]: content
        for name, content in files(images.oci_archive("x:1", "pause", b"program", "amd64")).items()
        if name.startswith("blobs/")
    }
    assert len(blobs) == 3
    assert {hashlib.sha256(content).hexdigest() for content in blobs.values()} == set(blobs)


def test_the_index_leads_to_the_program() -> None:
    inside = files(images.oci_archive("localhost/x:1", "pause", b"program", "arm64"))
    (top,) = json.loads(inside["index.json"])["manifests"]
    assert top["annotations"] == {"io.containerd.image.name": "localhost/x:1"}

    manifest = json.loads(inside["blobs/sha256/" + top["digest"][7:]])
    config = json.loads(inside["blobs/sha256/" + manifest["config"]["digest"][7:]])
    assert (config["architecture"], config["config"]["Entrypoint"]) == ("arm64", ["/pause"])

    layer = gzip.decompress(inside["blobs/sha256/" + manifest["layers"][0]["digest"][7:]])
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert files(layer) == {"pause": b"program"}


def test_the_same_program_gives_the_same_archive() -> None:
    one, two = (images.oci_archive("x:1", "pause", b"program", "amd64") for _ in range(2))
    assert one == two
