"""Binds addresses, for every process of this package. Lowest layer, beside `documents`."""

import socket


class CannotListen(Exception):  # the condition is the name
    """An address cannot be bound; give up."""


def bound(host: str, port: int) -> socket.socket:
    """Return a bound socket, or raise `CannotListen` that names the address."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as exc:
        raise CannotListen(f"cannot listen on {host}:{port}: {exc.strerror}") from exc
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """Return where a bound socket listens, as `host:port`."""
    host, port, *_ = listener.getsockname()
    return f"{host}:{port}"
