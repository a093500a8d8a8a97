"""Starts the supervisor's tree from the host and finds or ends it later.

The tree's outermost process is `unshare`: it is host pid and start time in `supervisor.pid`,
holds `supervisor.lock`, and takes everything along when it dies.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from devcluster import interrupts, layout, locks, processes, settings
from devcluster.errors import DevClusterError

# of the tree's processes: the lock, the listening socket that the relay accepts on, and the
# namespaces that the way out needs; without a gap, or they would not go along
LOCK_DESCRIPTOR = 3
LISTEN_DESCRIPTOR = 4
HOST_NET_DESCRIPTOR = 5
HOST_MOUNT_DESCRIPTOR = 6
START_LIMIT_S = 15.0
END_LIMIT_S = 20.0
POLL_S = 0.05
PROJECT = Path(__file__).parent.parent


def alive(cluster: layout.Cluster) -> bool:
    """Whether any part of the supervisor's tree lives."""
    return locks.held(cluster.alive)


def pid(cluster: layout.Cluster) -> int:
    """Return the host pid of the tree's outermost process, which is in its network namespace."""
    found = _recorded(cluster)
    if found is None or not alive(cluster):
        raise DevClusterError(
            f"cluster '{cluster.name}' is not running; "
            f"start it: python3 -m devcluster up --name {cluster.name}"
        )
    return found


def start(cluster: layout.Cluster) -> None:
    """Start the tree and return once it listens. Whatever goes wrong, nothing keeps running."""
    cluster.logs.mkdir(parents=True, exist_ok=True)
    cluster.socket.unlink(missing_ok=True)  # a killed supervisor's would look like an answer
    process = None
    try:
        with interrupts.deferred():
            process = _spawn(cluster)
        _await_socket(cluster, process)
    except BaseException:
        # before it has written its pid nobody else could find it
        if process is not None:
            process.kill()
            process.wait()
        raise


def _await_socket(cluster: layout.Cluster, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_LIMIT_S
    while not cluster.socket.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise DevClusterError(f"the supervisor did not start:\n{log_tail(cluster)}")
        time.sleep(POLL_S)


def _spawn(cluster: layout.Cluster) -> subprocess.Popen[bytes]:
    with (cluster.logs / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "devcluster", "_launch", "--name", cluster.name],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def become_supervisor(cluster: layout.Cluster) -> NoReturn:
    """Turn this process into the outermost one of the tree; never returns.

    The lock, the listening socket and the host's namespaces go along as descriptors.
    """
    chosen = settings.read(cluster)
    lock = locks.try_lock(cluster.alive)
    if chosen is None or lock is None:
        raise DevClusterError(f"cluster '{cluster.name}' runs already or was not prepared")
    listener = listen(chosen.port)
    cluster.pid_file.write_text(f"{os.getpid()} {_start_time(os.getpid())}\n")
    namespaces = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("net", "mnt")]
    _place(lock, listener.fileno(), *namespaces)
    tools = Path(chosen.binaries["tools"]) / "devcluster-tools"
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--net"]
    command += [str(tools), "init", sys.executable, "-m", "devcluster", "_supervise"]
    command += ["--name", cluster.name]
    processes.become(command)


def _place(*sources: int) -> None:
    """Give descriptors the numbers from LOCK_DESCRIPTOR on."""
    # by way of high numbers, because each may sit where another belongs
    high = [os.dup2(source, 100 + offset) for offset, source in enumerate(sources)]
    for target, source in enumerate(high, start=LOCK_DESCRIPTOR):
        os.dup2(source, target, inheritable=True)
        os.close(source)


def listen(port: int) -> socket.socket:
    """Return a listening socket on the host's loopback, or say who to ask about the port."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind(("127.0.0.1", port))
    except OSError as exc:
        server.close()
        raise PortTaken(
            f"127.0.0.1:{port} is in use ({exc.strerror}); end what listens there "
            f"(ss -ltnp 'sport = :{port}') or choose another with --port"
        ) from exc
    server.listen(1024)
    return server


def free_port(name: str) -> int:
    """Return the port that belongs to the name, or the next free one."""
    first = layout.preferred_port(name)
    for port in range(first, first + 100):
        try:
            listen(port).close()
        except PortTaken:
            continue
        return port
    raise PortTaken(f"no free port between {first} and {first + 99}; choose one with --port")


def stop(cluster: layout.Cluster) -> None:
    """Kill the tree, if it lives, and wait until nothing of it is left.

    The namespace's PID 1 is killed, not `unshare` above it: a PID 1 is gone only when all of
    its namespace is, and `unshare` ends after it.
    """
    end = time.monotonic() + END_LIMIT_S
    while (found := _recorded(cluster)) is not None or alive(cluster):
        for number in (_children(found) or [found]) if found is not None else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        if time.monotonic() > end:
            raise DevClusterError(f"cluster '{cluster.name}' does not end; pid {found}")
        time.sleep(POLL_S)


def log_tail(cluster: layout.Cluster, lines: int = 15) -> str:
    """Return the end of the supervisor's log."""
    path = cluster.logs / "supervisor.log"
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def _recorded(cluster: layout.Cluster) -> int | None:
    """Return the recorded pid if that very process, not a later one of the number, is there."""
    try:
        number, started = cluster.pid_file.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(number) if _start_time(int(number)) == started else None


def _start_time(number: int) -> str:
    """Return when a process started, "" if it is gone or only waits to be reaped."""
    fields = _stat(Path(f"/proc/{number}/stat"))
    return fields[19] if fields and fields[0] != "Z" else ""


def _children(number: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat(path)
        if fields and fields[0] != "Z" and int(fields[1]) == number:
            found.append(int(path.parent.name))
    return found


def _stat(path: Path) -> list[str]:
    """Return state, parent and what follows; the name before may hold blanks."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


class PortTaken(DevClusterError):
    """The loopback port of the cluster belongs to somebody else."""
