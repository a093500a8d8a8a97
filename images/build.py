"""From the two roots and the Dockerfile to one OCI archive per image, rebuilt only when needed.

Everything is kept in the cache under a key of its inputs, so a second build with the same inputs
reads some files and ends. Layers are reused by buildah, so an edit of our code costs seconds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

from images import base, tools

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Archives of earlier inputs that are kept: going back to a branch should cost nothing.
KEPT_ARCHIVES = 4
# buildah keeps every layer ever built; beyond this it starts afresh (20 s more for one build).
LARGEST_STORAGE_BYTES = 4 << 30
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@dataclasses.dataclass(frozen=True)
class Image:
    """One target of the Dockerfile, with the name others know it by and what goes into it."""

    target: str
    name: str
    inputs: tuple[str, ...]

    def reference(self, *, repository: str = "localhost", tag: str = "dev") -> str:
        """The full name of the image, by default as the dev clusters know it."""
        return f"{repository}/{self.name}:{tag}"


IMAGES = (
    Image(
        target="operator",
        name="agentsystem-operator",
        inputs=("requirements/operator.txt", "operator/agentsystem_operator"),
    ),
    Image(
        target="runtime",
        name="agent-runtime",
        inputs=("requirements/runtime.txt", "agent_runtime"),
    ),
)


@dataclasses.dataclass(frozen=True)
class Built:
    """An image on disk: its archive, and the key of all that went into it."""

    image: Image
    archive: pathlib.Path
    key: str


def key(image: Image) -> str:
    """Twelve hex digits over everything that decides the image's content."""
    digest = hashlib.sha256(base.key().encode())
    for name in ("Dockerfile", ".dockerignore", "images/build.py", *image.inputs):
        for file in files(ROOT / name):
            digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def files(path: pathlib.Path) -> list[pathlib.Path]:
    """The source files at or under a path, in a fixed order."""
    if path.is_file():
        return [path]
    found = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in found if "__pycache__" not in file.parts)


def archive_of(image: Image, image_key: str) -> pathlib.Path:
    """Where the archive of an image with this key is, or will be."""
    return tools.cache_folder() / f"{image.name}-{image_key}.tar"


def build_all() -> tuple[Built, ...]:
    """Every image as an archive, built where its inputs changed."""
    with tools.alone("build"):
        return tuple(build(image) for image in IMAGES)


def build(image: Image) -> Built:
    """One image as an archive; returns at once when nothing that goes into it changed."""
    image_key = key(image)
    archive = archive_of(image, image_key)
    if not archive.is_file():
        tools.ensure_installed()
        trim_storage()
        folders = {name: import_base(name) for name in ("runs", "builds")}
        with tools.step(f"image {image.reference()}"):
            bud(image, runs=folders["runs"], builds=folders["builds"])
            save(image, archive)
        forget_old(image)
    archive.touch()
    return Built(image=image, archive=archive, key=image_key)


def buildah(*arguments: str) -> str:
    """Run buildah on a storage of our own, so that the machine's other images are left alone."""
    storage = tools.cache_folder() / "storage"
    return tools.run(
        *("buildah", "--root", str(storage), "--runroot", str(tools.cache_folder() / "run")),
        *arguments,
    )


def import_base(name: str) -> str:
    """The reference of a base root inside buildah's storage, imported once."""
    reference = f"localhost/agentsystem-base-{name}:{base.key()}"
    if buildah("images", "--quiet", "--filter", f"reference={reference}").strip():
        return reference
    with base.root(name) as folder, tools.step(f"importing base {name!r}"):
        container = buildah("from", "scratch").strip()
        try:
            buildah("add", "--quiet", container, str(folder), "/")
            path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            buildah("config", "--env", path, container)
            buildah("commit", "--quiet", "--timestamp", "0", container, reference)
        finally:
            buildah("rm", container)
    return reference


def bud(image: Image, *, runs: str, builds: str) -> None:
    """Build one target of the Dockerfile.

    The host's network, certificates and pip settings are lent to the build where it has them, so
    that it reaches packages the way the host does; none of that is kept in a layer.
    """
    with tempfile.TemporaryDirectory() as folder:
        buildah(
            *("bud", "--layers", "--network", "host", "--isolation", "chroot", "--pull-never"),
            *("--target", image.target, "--tag", image.reference(), "--timestamp", "0"),
            *("--build-arg", f"BASE={runs}", "--build-arg", f"BUILD_BASE={builds}"),
            *(f"--volume={mount}:ro" for mount in lent(pathlib.Path(folder))),
            *("--ignorefile", str(ROOT / ".dockerignore"), "--file", str(ROOT / "Dockerfile")),
            str(ROOT),
        )


def lent(folder: pathlib.Path) -> list[str]:
    """What the host lends to a build, as `from:to` mounts: its certificates, its pip settings."""
    settings = folder / "pip.conf"
    settings.write_text(pip_settings())
    settings.chmod(0o600)  # an index address may hold a password
    candidates = (os.environ.get("PIP_CERT"), os.environ.get("SSL_CERT_FILE"), CERTIFICATES)
    bundles = [path for path in candidates if path and pathlib.Path(path).is_file()]
    return [f"{settings}:/etc/pip.conf", *(f"{path}:{CERTIFICATES}" for path in bundles[:1])]


def pip_settings() -> str:
    """The host's pip settings as one file for the build; folders of the host are left out."""
    shown = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    ).stdout
    lines = {"cert": CERTIFICATES}
    for line in shown.splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        if option not in ("cert", "find-links", "cache-dir", "require-virtualenv", "target"):
            lines[option] = value.strip("'\"").replace("\\n", "\n    ")
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())


def save(image: Image, archive: pathlib.Path) -> None:
    """Write an image as an OCI archive, whole or not at all."""
    part = archive.with_suffix(".part")
    part.unlink(missing_ok=True)
    buildah("push", "--quiet", image.reference(), f"oci-archive:{part}:{image.reference()}")
    part.rename(archive)


def forget_old(image: Image) -> None:
    """Remove the archives that were not used for longest, beyond the few that are kept."""
    found = tools.cache_folder().glob(f"{image.name}-*.tar")
    by_age = sorted(found, key=lambda file: file.stat().st_mtime, reverse=True)
    for file in by_age[KEPT_ARCHIVES:]:
        file.unlink()


def trim_storage() -> None:
    """Start buildah's storage afresh once it has grown beyond its limit."""
    size = sum(
        os.lstat(os.path.join(folder, name)).st_size
        for folder, _, names in os.walk(tools.cache_folder() / "storage")
        for name in names
    )
    if size > LARGEST_STORAGE_BYTES:
        forget_all()


def forget_all() -> None:
    """Forget every layer and archive, so that the next build asks Debian and PyPI anew."""
    if (tools.cache_folder() / "storage").is_dir():
        buildah("rmi", "--all", "--force")
    for archive in tools.cache_folder().glob("*.tar"):
        archive.unlink()
