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
class Wanted:
    """What the user asked of `up`; None is "as it was, or the default"."""

    nodes: int | None = None
    port: int | None = None
    network_policies: bool | None = None


def up(cluster: layout.Cluster, wanted: Wanted, say: Say) -> None:
    """Bring the cluster up, or make sure that it is; return when it is ready for use.

    An interrupt or failure ends what this call started; a cluster that ran before goes on, and
    what was stored before stays.
    """
    with locks.locked(cluster.lock, "up", LOCK_LIMIT_S):
        existed, running = cluster.settings.exists(), launch.alive(cluster)
        try:
            _up(cluster, wanted, say)
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


def _up(cluster: layout.Cluster, wanted: Wanted, say: Say) -> None:
    before = settings.read(cluster)
    if not launch.alive(cluster):
        settings.write(cluster, _choose(cluster, before, wanted, say))
        cgroups.remove(cluster.cgroup)
        launch.start(cluster)
    elif before is not None:
        _refuse_change(cluster, before, wanted)
    try:
        control.ask(cluster.socket, {"do": "wait"}, say=say)
    except control.NotListening as exc:
        raise DevClusterError(f"the supervisor ended:\n{launch.log_tail(cluster)}") from exc
    current = settings.read(cluster)
    if current is not None:
        write_kubeconfig(cluster, current.port)


def _refuse_change(cluster: layout.Cluster, before: settings.Settings, wanted: Wanted) -> None:
    if wanted.nodes not in (None, before.nodes):
        raise DevClusterError(
            f"cluster '{cluster.name}' runs with {before.nodes} nodes, not {wanted.nodes}: "
            f"take it down first, or leave --nodes out"
        )
    if wanted.network_policies not in (None, before.network_policies):
        does = "enforces" if before.network_policies else "does not enforce"
        raise DevClusterError(
            f"cluster '{cluster.name}' runs and {does} NetworkPolicies: "
            f"stop it first, or leave --network-policies and --no-network-policies out"
        )


def _choose(
    cluster: layout.Cluster, before: settings.Settings | None, wanted: Wanted, say: Say
) -> settings.Settings:
    count = wanted.nodes if wanted.nodes is not None else before.nodes if before else 2
    layout.nodes(count)
    host.check(count)
    host.install_packages(count, say)
    host.check_network(count)
    build.build(say)
    number = wanted.port or (before.port if before else launch.free_port(cluster.name))
    launch.listen(number).close()
    binaries = settings.binaries(build.directories())
    enforced = wanted.network_policies
    return settings.Settings(
        count,
        number,
        binaries,
        egress=count > 0 and way_out(say),
        network_policies=(before is None or before.network_policies)
        if enforced is None
        else enforced,
    )


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
