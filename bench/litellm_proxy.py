"""litellm's proxy from PyPI, as something to compare with: installed on first use, never tuned.

It gets a virtual environment of its own in the cache folder, since it needs other versions of much
that we use. It checks one master key; sessions, budgets and data about people need a database or
services of its own there, and are left out: it does less than the runtime beside it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench import processes
from devcluster import layout
from tests import ports

VERSION = "1.108.7"
KEY = "sk-bench"
START_SECONDS = 60.0  # it takes eleven on an idle machine
INSTALL_SECONDS = 900.0
_CONFIG = """
model_list:
- model_name: front
  litellm_params: {{model: openai/gpt-4o-mini, api_base: "http://127.0.0.1:{port}/v1", api_key: sk}}
general_settings: {{master_key: {key}}}
"""
# no prices from the internet, no line for each request, no report to its makers
_ENVIRONMENT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}


class NotInstalled(Exception):  # the condition is the name
    """pip could not install it; its last line says why."""


def installed(environ: Mapping[str, str] = os.environ) -> Path:
    """Return its command, installed first if it is not there; raise `NotInstalled`."""
    home = layout.cache_home(dict(environ)) / "bench" / f"litellm-{VERSION}"
    command, done = home / "bin" / "litellm", home / "complete"
    if done.exists():
        return command
    try:
        _run([sys.executable, "-m", "venv", "--clear", str(home)])
        pip = [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, f"litellm[proxy]=={VERSION}"])
    except (OSError, subprocess.SubprocessError) as exc:
        raise NotInstalled(_why(exc)) from exc
    done.touch()
    return command


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)


def _why(exc: Exception) -> str:
    lines = (
        exc.stderr.strip().splitlines() if isinstance(exc, subprocess.CalledProcessError) else []
    )
    return str(lines[-1] if lines else exc)[:200]


@contextmanager
def serving(command: Path, simulator_port: int, folder: Path) -> Iterator[tuple[int, int]]:
    """The proxy in front of a simulator, one worker on the server's core: its port and pid."""
    config = folder / "litellm.yaml"
    config.write_text(_CONFIG.format(port=simulator_port, key=KEY))
    port = ports.free()
    arguments = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    with processes.serving(
        [str(command), *arguments, "--num_workers", "1", "--telemetry", "False"],
        port,
        start_s=START_SECONDS,
        environment=_ENVIRONMENT,
    ) as pid:
        yield port, pid
