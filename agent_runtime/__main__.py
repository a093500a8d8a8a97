"""`agent-runtime serve --config FILE`: reads the config, opens the ports, serves until SIGTERM.

Exit codes: 0 after a signal, 1 if a port or the session store cannot be used, 2 if the config or
the command line is wrong.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import prometheus_client
import uvloop

from agent_runtime.app import config_file, server
from agent_runtime.memory.base import StoreUnavailable
from agent_runtime.observability import logs
from agent_runtime.problems import Invalid


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    # as process 1 of a container we would not even notice a SIGTERM that comes this early
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    options = _parser().parse_args(arguments)
    logs.set_up()
    # they double the size of every scrape
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # no annotations
    try:
        surroundings = config_file.Surroundings.of(os.environ)
        config = config_file.load(options.config, surroundings)
    except Invalid as exc:
        lines = [f"  {problem}" for problem in exc.problems]
        return _complain(f"{options.config} cannot be used:", *lines, code=2)
    try:
        listeners = server.bind(options.host, options.port, options.metrics_port)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve(config, surroundings, listeners))
    except (server.CannotListen, StoreUnavailable) as exc:
        return _complain(str(exc), code=1)
    return 0


def _complain(*lines: str, code: int) -> int:
    sys.stderr.write("\n".join(("agent-runtime: " + lines[0], *lines[1:])) + "\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agent-runtime", description="Runs agents.")
    serve = parser.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "serve", help="answer for the agents of a rendered config until SIGTERM"
    )
    serve.add_argument("--config", type=Path, required=True, help="rendered config, JSON or YAML")
    serve.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104
    serve.add_argument("--port", type=_port, default=8000, help="API, /health, /ready")
    serve.add_argument("--metrics-port", type=_port, default=9000, help="/metrics")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError("must be a port: 0 to 65535, 0 lets the system choose")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
