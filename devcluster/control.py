"""The supervisor's control socket: one JSON request per connection, JSON lines back.

Lines of progress come first, then one with "done" or "error". A request may carry one open
file, so that an archive anywhere on the host can be read inside.
"""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from devcluster.errors import DevClusterError

MAX_REQUEST = 4096
CONNECT_LIMIT_S = 5.0
ANSWER_LIMIT_S = 900.0

Request = dict[str, object]
Say = Callable[[str], None]
# (request, descriptor of the file that came along or None, progress) -> answer
Handler = Callable[[Request, int | None, Say], dict[str, object]]


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield a name below the 108 bytes that socket addresses may have."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def listen(path: Path) -> socket.socket:
    """Return a listening socket that only root can use."""
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short(path) as name:
        server.bind(name)
    path.chmod(0o600)
    server.listen(16)
    return server


def serve(server: socket.socket, handle: Handler) -> None:
    """Answer requests for ever, each in a thread: waiting for a boot blocks nobody."""
    while True:
        connection, _ = server.accept()
        threading.Thread(target=_answer, args=(connection, handle), daemon=True).start()


def _answer(connection: socket.socket, handle: Handler) -> None:
    def send(line: dict[str, object]) -> None:
        connection.sendall(json.dumps(line).encode() + b"\n")

    descriptor: int | None = None
    with connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        try:
            raw, files, _, _ = socket.recv_fds(connection, MAX_REQUEST, 1)
            descriptor = files[0] if files else None
            answer = handle(json.loads(raw), descriptor, lambda text: send({"say": text}))
            send({"done": answer})
        except (DevClusterError, ValueError, KeyError, OSError) as exc:
            send({"error": str(exc) or repr(exc)})
        finally:
            if descriptor is not None:
                os.close(descriptor)


def ask(
    path: Path, request: Request, *, say: Say, descriptor: int | None = None
) -> dict[str, object]:
    """Send one request and return its answer, or raise what the supervisor said."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(CONNECT_LIMIT_S)
        try:
            with _short(path) as name:
                connection.connect(name)
        except OSError as exc:
            raise NotListening(f"no supervisor at {path}: {exc}") from exc
        connection.settimeout(ANSWER_LIMIT_S)
        files = [] if descriptor is None else [descriptor]
        socket.send_fds(connection, [json.dumps(request).encode()], files)
        try:
            for line in connection.makefile("rb"):
                answer = json.loads(line)
                if "say" not in answer:
                    return _outcome(answer)
                say(answer["say"])
        except ConnectionResetError as exc:
            raise NotListening("the supervisor ended while it was asked") from exc
    raise NotListening("the supervisor ended while it was asked")


def _outcome(answer: dict[str, object]) -> dict[str, object]:
    if "error" in answer:
        raise DevClusterError(str(answer["error"]))
    done = answer["done"]
    return done if isinstance(done, dict) else {}


class NotListening(DevClusterError):
    """There is no supervisor to ask, or it went away."""
