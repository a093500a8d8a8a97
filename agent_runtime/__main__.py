"""`agent-runtime serve --config FILE`: reads the config, opens the ports, serves until SIGTERM.

`agent-runtime simulate` plays a provider instead, `agent-runtime key` makes an API key. Exit
codes: 0 after a signal, 1 if a port or the session store cannot be used, 2 if the config or the
command line is wrong.
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

from agent_runtime import listening
from agent_runtime.app import config_file, server
from agent_runtime.guard import api_keys
from agent_runtime.guard.principal import Priority, Role
from agent_runtime.memory.base import StoreUnavailable
from agent_runtime.observability import logs
from agent_runtime.problems import Invalid
from agent_runtime.simulator import server as simulator


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    # as process 1 of a container we would not even notice a SIGTERM that comes this early
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    options = command_line().parse_args(arguments)
    return int(options.run(options))


def _serve(options: argparse.Namespace) -> int:
    logs.set_up()
    # they double the size of every scrape
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # no annotations
    try:
        surroundings = config_file.Surroundings.of(os.environ)
        config = config_file.load(options.config, surroundings)
    except Invalid as exc:
        return _complain_about(options.config, exc)
    try:
        listeners = server.bind(options.host, options.port, options.metrics_port)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve(config, surroundings, listeners))
    except (listening.CannotListen, StoreUnavailable) as exc:
        return _complain(str(exc), code=1)
    return 0


def _simulate(options: argparse.Namespace) -> int:
    logs.set_up()
    try:
        control = simulator.load(options.control)
    except Invalid as exc:
        return _complain_about(options.control, exc)
    except (OSError, UnicodeDecodeError) as exc:
        return _complain(f"{options.control} cannot be read: {exc}", code=2)
    try:
        api = listening.bound(options.host, options.port)
        orders = listening.bound(options.control_host, options.control_port)
    except listening.CannotListen as exc:
        return _complain(str(exc), code=1)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(simulator.serve(control, api, orders))
    return 0


def _key(options: argparse.Namespace) -> int:
    key, line = api_keys.make(
        options.id,
        tenant=options.tenant,
        roles=[Role(role) for role in options.role or [Role.CHAT]],
        priority=Priority(options.priority),
    )
    sys.stdout.write(f"{key}\n{line}\n")
    sys.stderr.write(
        "The first line is the key: it is shown this once, and nobody can get it back.\n"
        "The second one goes into the file of keys (docs/security.md).\n"
    )
    return 0


def _complain_about(file: Path, exc: Invalid) -> int:
    lines = [f"  {problem}" for problem in exc.problems]
    return _complain(f"{file} cannot be used:", *lines, code=2)


def _complain(*lines: str, code: int) -> int:
    sys.stderr.write("\n".join(("agent-runtime: " + lines[0], *lines[1:])) + "\n")
    return code


def command_line() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(prog="agent-runtime", description="Runs agents.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="answer for the agents of a rendered config"))
    _add_simulate(commands.add_parser("simulate", help="play a provider that fails on command"))
    _add_key(commands.add_parser("key", help="make an API key, and the line that lets it in"))
    return parser


def _add_serve(serve: argparse.ArgumentParser) -> None:
    serve.set_defaults(run=_serve)
    serve.add_argument("--config", type=Path, required=True, help="rendered config, JSON or YAML")
    serve.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104
    serve.add_argument("--port", type=_port, default=8000, help="API, /health, /ready")
    serve.add_argument("--metrics-port", type=_port, default=9000, help="/metrics")


def _add_simulate(simulate: argparse.ArgumentParser) -> None:
    simulate.set_defaults(run=_simulate)
    add = simulate.add_argument
    add("--host", default="0.0.0.0", help="address of the simulated provider")  # noqa: S104
    add("--port", type=_port, default=8100, help="both wire protocols, /health")
    add("--control-host", default="127.0.0.1", help="address of the control endpoint")
    add("--control-port", type=_port, default=8101, help="/control, /control/counts")
    add("--control", type=Path, help="what to begin with, JSON or YAML, as PUT /control takes it")


def _add_key(key: argparse.ArgumentParser) -> None:
    key.set_defaults(run=_key)
    add = key.add_argument
    add("--id", type=_name, required=True, help="who it is for; shown, and part of stored keys")
    add("--tenant", type=_name, help="whom its sessions, limits and costs belong to")
    add("--role", choices=list(Role), action="append", help="may be given again; default: Chat")
    add("--priority", choices=list(Priority), default=Priority.NORMAL, help="default: Normal")


def _name(text: str) -> str:
    try:
        return api_keys.name(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError("must be a port: 0 to 65535, 0 lets the system choose")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
