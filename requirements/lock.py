"""Lock the dependencies of every role with hashes, and say when a lock is out of date.

`python requirements/lock.py` writes `<role>.txt` from the extras in `pyproject.toml`, and
`audit.txt` from `audit.in` (needs the package index and `uv`); with names of roles, those alone.
`--check` needs neither: each file names the digest of what it was made from. The files hold no
index address and no path, so that anyone can install them from anywhere.
Nothing imports this module.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
# dev comes first: the others are constrained by it, so that what runs is what was tested.
ROLES = ("dev", "operator", "runtime", "cli", "audit")
# The auditing tools pin what we use in other versions: a set, and an environment, of their own.
APART = {"audit": "audit.in"}
# The official client doubles kopf's memory as soon as it can be imported.
FORBIDDEN = {"operator": ("kubernetes", "kubernetes-asyncio"), "runtime": ("kubernetes", "kopf")}
OLDEST_PYTHON = "3.11"
ADDRESS_OR_PATH = re.compile(r"^\s*(-|https?:|file:|\.{0,2}/)|://| @ ")


def inputs_digest(role: str = "") -> str:
    """The digest of all that decides a lock: declared dependencies, extras, the oldest Python."""
    if role in APART:
        declared_apart = (ROOT / "requirements" / APART[role]).read_bytes()
        return hashlib.sha256(declared_apart + OLDEST_PYTHON.encode()).hexdigest()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {
        "dependencies": project["dependencies"],
        "extras": project["optional-dependencies"],
        "python": [project["requires-python"], OLDEST_PYTHON],
    }
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()


def header(role: str) -> str:
    """The first lines of a lock file."""
    return (
        f"# Locked dependencies of the role {role!r}; written by `make lock`, not by hand.\n"
        f"# inputs: sha256:{inputs_digest(role)}\n"
    )


def compile_role(role: str) -> str:
    """The locked requirements of one role, for every platform and Python that we support."""
    apart = role in APART
    source = [f"requirements/{APART[role]}"] if apart else ["pyproject.toml", "--extra", role]
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", *source),
        *("--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes"),
        *("--no-header", "--no-annotate", "--no-config", "--quiet"),
    ]
    if role != "dev" and not apart:
        command += ["--constraint", str(FOLDER / "dev.txt")]
    # Wheels that happen to lie on this machine must not decide what others install.
    environment = {
        name: value for name, value in os.environ.items() if not name.endswith("_FIND_LINKS")
    }
    done = subprocess.run(  # noqa: S603  # a fixed command line
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return header(role) + done.stdout


def problems(role: str) -> list[str]:
    """What is wrong with one lock file, in words; empty when it can be trusted."""
    file = FOLDER / f"{role}.txt"
    if not file.is_file():
        return [f"{file.name} is missing; run `make lock`"]
    lines = file.read_text().splitlines()
    found = []
    if f"# inputs: sha256:{inputs_digest(role)}" not in lines:
        found.append(f"{file.name} is older than {source_of(role)}; run `make lock`")
    requirements = [line for line in lines if line and not line.startswith(("#", "    --hash="))]
    found += [
        f"{file.name}: {line!r} names an address, a path or an option"
        for line in requirements
        if ADDRESS_OR_PATH.search(line)
    ]
    names = {re.split(r"[=\[ ;]", line, maxsplit=1)[0].lower() for line in requirements}
    found += [
        f"{file.name} must not contain {name}" for name in FORBIDDEN.get(role, ()) if name in names
    ]
    if "--hash=sha256:" not in "\n".join(lines):
        found.append(f"{file.name} has no hashes")
    return found


def source_of(role: str) -> str:
    """The file that declares what a role needs."""
    return APART.get(role, "pyproject.toml")


def main() -> int:
    """Write the locks, all or those of the named roles, or with `--check` only judge them."""
    if "--check" not in sys.argv[1:]:
        for role in sys.argv[1:] or ROLES:
            (FOLDER / f"{role}.txt").write_text(compile_role(role))
    found = [problem for role in ROLES for problem in problems(role)]
    for problem in found:
        sys.stderr.write(f"{problem}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
