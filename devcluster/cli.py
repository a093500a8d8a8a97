"""The command line: `python3 -m devcluster COMMAND --name NAME`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from devcluster import (
    build,
    control,
    host,
    interrupts,
    launch,
    layout,
    lifecycle,
    processes,
    settings,
    supervisor,
)
from devcluster.errors import DevClusterError

INTERRUPTED = 130


def say(text: str) -> None:
    """Tell the user on the error stream, so that output stays for what was asked for."""
    print(f"devcluster: {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    own, passed_on = split(arguments)
    chosen = parser().parse_args(own, argparse.Namespace(command=passed_on))
    interrupts.raise_on_terminate()
    try:
        return int(chosen.run(layout.cluster(chosen.name), chosen) or 0)
    except DevClusterError as exc:
        say(f"error: {exc}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return our own arguments and those of the command that is passed on.

    The latter come after "--"; `kubectl` and `exec` take all but a leading --name without it.
    """
    whole = list(arguments)
    own = whole.index("--") if "--" in whole else len(whole)
    if whole[:1] in (["kubectl"], ["exec"]):
        own = 1
        while own < len(whole) and whole[own].startswith("--name"):
            own += 1 if "=" in whole[own] else 2
    rest = whole[own:]
    return whole[:own], rest[1:] if rest[:1] == ["--"] else rest


Command = Callable[[layout.Cluster, argparse.Namespace], int | None]


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(prog="python3 -m devcluster", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str | None) -> argparse.ArgumentParser:
        if text is None:  # a subparser without help is not listed
            each = commands.add_parser(name)
        else:
            each = commands.add_parser(name, description=text, help=text)
        each.add_argument("--name", default="demo", help="the cluster's name (default: demo)")
        each.set_defaults(run=run)
        return each

    each = add("up", _up, "start the cluster and wait until it is ready; fine if it runs")
    each.add_argument("--nodes", type=int, help="nodes; 0 is an apiserver only (default: 2)")
    each.add_argument("--fake-nodes", type=int, help="nodes without a kubelet (default: 0)")
    each.add_argument(
        "--controller-qps",
        type=int,
        metavar="N",
        help="client rate of the controllers, requests/s, with workers in proportion; "
        "0 is upstream's own (default)",
    )
    each.add_argument("--port", type=int, help="loopback port (default: from the name)")
    add("down", _down, "end the cluster and remove everything that it stored")
    add("stop", _stop, "end the cluster's processes and keep what it stored; 'up' resumes")
    add("status", _status, "say what runs")
    add("kubeconfig", _kubeconfig, "print the path of the cluster's kubeconfig")
    add("audit-log", _audit_log, "print the path of the audit log (JSON lines)")
    add("build", _build, "build and install what a cluster needs, without starting one")
    each = add("load-image", _load_image, "import an image archive (OCI or docker) into each node")
    each.add_argument("archive", type=Path)
    add("kubectl", _kubectl, "run kubectl as the cluster's admin: kubectl [--name NAME] ...")
    add("exec", _exec, "run a command in the cluster's network: exec [--name NAME] -- ...")
    each = add("node", _node, "cut a node's power, switch it on, or run a command on it (after --)")
    each.add_argument("verb", choices=["stop", "start", "exec"])
    each.add_argument("what", metavar="NODE")
    each = add("restart", _restart, "kill a program of the control plane and start it again")
    each.add_argument("what", metavar="PROGRAM", help="apiserver, etcd, scheduler, ...")
    each.add_argument("--down-for", type=float, default=0.0, metavar="SECONDS")
    add("_launch", _launch, None)
    add("_supervise", _supervise, None)
    return top


def _up(cluster: layout.Cluster, chosen: argparse.Namespace) -> None:
    asked = lifecycle.Asked(chosen.nodes, chosen.port, chosen.fake_nodes, chosen.controller_qps)
    lifecycle.up(cluster, asked, say)
    say(f"cluster '{cluster.name}' is ready: export KUBECONFIG={cluster.kubeconfig}")


def _down(cluster: layout.Cluster, chosen: argparse.Namespace) -> None:
    lifecycle.down(cluster, say)


def _stop(cluster: layout.Cluster, chosen: argparse.Namespace) -> None:
    lifecycle.stop(cluster)


def _status(cluster: layout.Cluster, chosen: argparse.Namespace) -> int:
    if not launch.alive(cluster):
        print(f"{cluster.name}: {'stopped' if cluster.settings.exists() else 'not there'}")
        return 1
    answer = control.ask(cluster.socket, {"do": "status"}, say=say)
    print(f"{cluster.name}: {answer['state']}")
    for kind in ("processes", "nodes"):
        found = answer[kind]
        for name, running in found.items() if isinstance(found, dict) else ():
            print(f"  {name}: {'running' if running else 'stopped'}")
    print(f"  fake nodes: {answer['fake_nodes']}")
    print(f"  controllers: {answer['controller_qps']} requests/s each")
    return 0


def _kubeconfig(cluster: layout.Cluster, chosen: argparse.Namespace) -> None:
    launch.pid(cluster)
    print(cluster.kubeconfig)


def _audit_log(cluster: layout.Cluster, chosen: argparse.Namespace) -> None:
    launch.pid(cluster)
    print(cluster.audit_log)


def _build(cluster: layout.Cluster, chosen: argparse.Namespace) -> None:
    host.check(nodes=2)
    host.install_packages(2, say)
    lifecycle.way_out(say)
    build.build(say)
    say(f"built: {layout.cache_home() / 'devcluster'}")


def _load_image(cluster: layout.Cluster, chosen: argparse.Namespace) -> None:
    launch.pid(cluster)
    try:
        with chosen.archive.open("rb") as archive:
            request: control.Request = {"do": "load-image"}
            answer = control.ask(cluster.socket, request, say=say, descriptor=archive.fileno())
    except OSError as exc:
        raise DevClusterError(f"{chosen.archive}: {exc.strerror}") from exc
    print(answer["images"])


def _kubectl(cluster: layout.Cluster, chosen: argparse.Namespace) -> None:
    launch.pid(cluster)
    current = settings.read(cluster)
    if current is None:
        raise DevClusterError(f"cluster '{cluster.name}' has no settings")
    program = str(Path(current.binaries["kube"]) / "devcluster-kube")
    environment = os.environ | {"KUBECONFIG": str(cluster.kubeconfig)}
    processes.become([program, "kubectl", *chosen.command], environment)


def _exec(cluster: layout.Cluster, chosen: argparse.Namespace) -> None:
    command = _needed(chosen.command)
    processes.become(["nsenter", "-t", str(launch.pid(cluster)), "--net", "--", *command])


def _node(cluster: layout.Cluster, chosen: argparse.Namespace) -> None:
    outer = launch.pid(cluster)
    if chosen.verb != "exec":
        _fault(cluster, chosen.verb, chosen.what, 0.0)
        return
    command = _needed(chosen.command)
    request: control.Request = {"do": "node-pid", "what": chosen.what}
    inner = control.ask(cluster.socket, request, say=say)["pid"]
    # the supervisor counts processes from its own namespace, so its number is looked up there
    outside = ["nsenter", "-t", str(outer), "--mount", f"--pid=/proc/{outer}/ns/pid_for_children"]
    inside = ["nsenter", "-t", str(inner), "--mount", "--net", "--"]
    processes.become([*outside, *inside, *command])


def _restart(cluster: layout.Cluster, chosen: argparse.Namespace) -> None:
    launch.pid(cluster)
    _fault(cluster, "restart", chosen.what, chosen.down_for)


def _fault(cluster: layout.Cluster, verb: str, what: str, pause_s: float) -> None:
    control.ask(cluster.socket, {"do": verb, "what": what, "for": pause_s}, say=say)


def _launch(cluster: layout.Cluster, chosen: argparse.Namespace) -> None:
    launch.become_supervisor(cluster)


def _supervise(cluster: layout.Cluster, chosen: argparse.Namespace) -> int:
    return supervisor.main(cluster.name)


def _needed(command: list[str]) -> list[str]:
    if not command:
        raise DevClusterError("no command given; put it after --")
    return command
