"""The images' bills of materials, held against the published schema of their format."""

from __future__ import annotations

import pathlib

from audit import environment
from images import build, sbom

# Runs among the auditing tools: their library has the schema.
VALIDATE = """
import pathlib, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(pathlib.Path(sys.argv[1]).read_text())
if error:
    sys.exit(str(error)[:2000])
"""


def problems() -> list[str]:
    """What is wrong with the bills of both images; they are written if need be."""
    return [problem for built in build.build_all() if (problem := complaint(sbom.ensure(built)))]


def complaint(file: pathlib.Path) -> str:
    """Why a file is no CycloneDX 1.6 document; empty when it is one."""
    done = environment.run(environment.ensure() / "python", "-c", VALIDATE, file)
    return f"{file}: {done.stderr.strip()}" if done.returncode else ""
