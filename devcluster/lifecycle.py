"""`up` and `down`: from nothing to a ready cluster, and back to nothing."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from devcluster import (
    build,
    cgroups,
    control,
    egress,
    host,
    interrupts,
    launch,
    layout,
    locks,
    pki,
    settings,
)
from devcluster.errors import DevClusterError

# another `up` of the same cluster may be building
LOCK_LIMIT_S = 30 * 60.0
DOWN_LOCK_LIMIT_S = 30.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What the user of `up` asked for; None is what it was before, or the default."""

    nodes: int | None = None
    port: int | None = None
    fake_nodes: int | None = None
    controller_qps: int | None = None


def up(cluster: layout.Cluster, asked: Asked, say: Say) -> None:
    """Bring the cluster up, or make sure that it is; return when it is ready for use.

    An interrupt or failure ends what this call started; a cluster that ran before goes on, and
    what was stored before stays.
    """
    with locks.locked(cluster.lock, "up", LOCK_LIMIT_S):
        existed, running = cluster.settings.exists(), launch.alive(cluster)
        try:
            _up(cluster, asked, say)
        except BaseException as exc:
            if not running:
                _undo(cluster, existed=existed, exc=exc, say=say)
            raise


def _undo(cluster: layout.Cluster, *, existed: bool, exc: BaseException, say: Say) -> None:
    say("ending what was started")
    # logs of a failed start are worth keeping, traces of an interrupted one are not
    interrupted = isinstance(exc, KeyboardInterrupt)
    with interrupts.deferred():
        stop(cluster)
        if not existed and (interrupted or not cluster.logs.exists()):
            shutil.rmtree(cluster.state, ignore_errors=True)


def _up(cluster: layout.Cluster, asked: Asked, say: Say) -> None:
    before = settings.read(cluster)
    if not launch.alive(cluster):
        settings.write(cluster, _choose(cluster, before, asked, say))
        cgroups.remove(cluster.cgroup)
        launch.start(cluster)
    elif before is not None:
        _compare(cluster, before, asked)
    try:
        control.ask(cluster.socket, {"do": "wait"}, say=say)
    except control.NotListening as exc:
        raise DevClusterError(f"the supervisor ended:\n{launch.log_tail(cluster)}") from exc
    current = settings.read(cluster)
    if current is not None:
        write_kubeconfig(cluster, current.port)


def _compare(cluster: layout.Cluster, runs: settings.Settings, asked: Asked) -> None:
    for option in ("nodes", "fake_nodes", "controller_qps"):
        has, wanted = getattr(runs, option), getattr(asked, option)
        if wanted not in (None, has):
            flag = option.replace("_", "-")
            raise DevClusterError(
                f"cluster '{cluster.name}' runs with --{flag} {has}, not {wanted}: "
                f"stop it first, or leave --{flag} out"
            )


def _choose(
    cluster: layout.Cluster, before: settings.Settings | None, asked: Asked, say: Say
) -> settings.Settings:
    stored = before or settings.Settings(nodes=2, port=0, binaries={})
    count = _first(asked.nodes, stored.nodes)
    fakes = _first(asked.fake_nodes, stored.fake_nodes)
    qps = _first(asked.controller_qps, stored.controller_qps)
    layout.nodes(count)
    layout.fake_nodes(fakes)
    host.check(count)
    host.install_packages(count, say)
    host.check_network(count)
    build.build(say)
    number = asked.port or stored.port or launch.free_port(cluster.name)
    launch.listen(number).close()
    return settings.Settings(
        count,
        number,
        settings.binaries(build.directories()),
        egress=count > 0 and way_out(say),
        fake_nodes=fakes,
        controller_qps=qps,
    )


def _first(asked: int | None, stored: int) -> int:
    return stored if asked is None else asked


def way_out(say: Say) -> bool:
    """Say in one line why there will be no way out of the cluster, if there will be none."""
    if obstacle := egress.obstacle(say):
        say(f"pods will not reach the internet: {obstacle}")
    return not obstacle


def write_kubeconfig(cluster: layout.Cluster, port: int) -> None:
    """Write the admin kubeconfig for the host; no other kubeconfig is read or changed."""
    text = pki.kubeconfig(
        f"https://127.0.0.1:{port}",
        cluster.state / "pki",
        "admin",
        f"devcluster-{cluster.name}",
    )
    pki.write_private(cluster.kubeconfig, text)


def stop(cluster: layout.Cluster) -> None:
    """End the cluster's processes and remove what they leave outside of its directory."""
    launch.stop(cluster)
    cgroups.remove(cluster.cgroup)


def down(cluster: layout.Cluster, say: Say) -> None:
    """End the cluster and remove its directory. Fine if there is none, or half of one."""
    if not cluster.state.exists():
        cgroups.remove(cluster.cgroup)
        say(f"cluster '{cluster.name}' is not there")
        return
    # processes first: an `up` that waits for them then lets go of the lock
    stop(cluster)
    with locks.locked(cluster.lock, "down", DOWN_LOCK_LIMIT_S):
        stop(cluster)
        shutil.rmtree(cluster.state)
    say(f"cluster '{cluster.name}' is gone")
