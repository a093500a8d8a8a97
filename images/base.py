"""The two roots that the Dockerfile starts from, made of Debian packages without a registry.

`runs` holds Python, its libraries, CA certificates and nothing else: no shell, no package manager.
`builds` adds a shell and venv; none of it reaches an image. mmdebstrap unpacks the packages without
running their scripts, which takes seconds; what the scripts would have done and we need is done
here, in the open.
"""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from images import tools

SUITE = "bookworm"
# re2 is C++, and its wheel takes the system's library.
RUNS = ("base-files", "ca-certificates", "libstdc++6", "netbase", "python3")
BUILDS = (*RUNS, "coreutils", "dash", "findutils", "python3-venv")
# Dependencies of maintainer scripts only, and what nobody uses without a terminal.
UNUSED = (
    *("usr/bin/debconf*", "usr/bin/dpkg*", "usr/bin/mawk", "usr/bin/openssl", "usr/bin/py*clean"),
    *(
        "usr/bin/c_rehash",
        "usr/bin/pdb3*",
        "usr/bin/py3*",
        "usr/bin/pydoc3*",
        "usr/bin/pygettext3*",
    ),
    *("usr/bin/tar", "usr/bin/update-alternatives", "usr/sbin/*", "usr/share/debconf"),
    *(
        "usr/lib/dpkg",
        "usr/share/dpkg",
        "usr/share/perl5",
        "usr/share/python3",
        "var/lib/dpkg/info",
    ),
    *("usr/lib/python3.*/ensurepip", "usr/lib/python3.*/lib2to3", "usr/lib/python3.*/pydoc_data"),
    *("usr/lib/python3.*/test", "usr/lib/python3.*/turtle*"),
    *("usr/lib/python3.*/__phello__", "usr/lib/*-linux-gnu/gconv", "var/lib/apt", "var/cache"),
    *("usr/lib/*-linux-gnu/perl-base", "usr/share/ca-certificates", "etc/apt", "etc/dpkg"),
)
# Documentation, except each package's licence.
UNREAD = ("info", "lintian", "locale", "man", "bash-completion", "menu", "pixmaps", "applications")
# What `update-ca-certificates` would have made, and a name for our user.
FINISH = """
set -eu
cat "$1"/usr/share/ca-certificates/mozilla/*.crt > "$1/etc/ssl/certs/ca-certificates.crt"
mkdir -p "$1/var/lib/dpkg/status.d"
for package in "$1"/var/cache/apt/archives/*.deb; do
    name="$(dpkg-deb --field "$package" Package)"
    dpkg-deb --field "$package" > "$1/var/lib/dpkg/status.d/$name"
done
printf 'root:x:0:0:root:/root:/sbin/nologin\\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\\n' \
    > "$1/etc/passwd"
printf 'root:x:0:\\nnonroot:x:65532:\\n' > "$1/etc/group"
"""


def key() -> str:
    """Twelve hex digits that change with the packages asked for or with this recipe.

    New package versions in Debian do not: `make images FRESH=1` asks for them.
    """
    return hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()[:12]


@contextlib.contextmanager
def root(name: str) -> Iterator[pathlib.Path]:
    """A folder that holds the root `runs` or `builds`, for as long as the block lasts."""
    packages = {"runs": RUNS, "builds": BUILDS}[name]
    with tempfile.TemporaryDirectory(prefix="root-", dir=tools.cache_folder()) as parent:
        folder = pathlib.Path(parent) / "root"
        with tools.step(f"base {name!r} from {len(packages)} Debian packages and what they need"):
            unpack(packages, folder)
            if name == "runs":
                shrink(folder)
                precompile(folder)
        yield folder


def unpack(packages: tuple[str, ...], into: pathlib.Path) -> None:
    """Unpack Debian packages and their dependencies into a new folder, and finish it."""
    tools.run(
        *("mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(packages)}"),
        *("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",),
        *('--aptopt=APT::Install-Recommends "false"', f"--extract-hook={FINISH}"),
        *(SUITE, str(into)),
    )
    # Device nodes are the container's, not the image's.
    shutil.rmtree(into / "dev")
    (into / "dev").mkdir()


def shrink(folder: pathlib.Path) -> None:
    """Remove what nothing in a container of ours opens; licences stay."""
    for pattern in UNUSED:
        for path in folder.glob(pattern):
            remove(path)
    for name in UNREAD:
        remove(folder / "usr/share" / name)
    for path in (folder / "usr/share/doc").rglob("*"):
        if path.is_file() and path.name != "copyright":
            path.unlink()


def precompile(folder: pathlib.Path) -> None:
    """Compile the standard library: on a read-only root every start would do it again."""
    tools.run(
        *("chroot", str(folder), "/usr/bin/python3", "-m", "compileall", "-q"),
        *("--invalidation-mode", "unchecked-hash", "/usr/lib/python3", "/usr/lib/python3.11"),
    )


def remove(path: pathlib.Path) -> None:
    """Remove a file, a link or a folder; nothing happens when it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
