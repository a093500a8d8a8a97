"""The folder that holds what a connection takes: address, authority and token.

All of it is projected by the kubelet and changes while the process runs, so it is read anew for
each connection. A pod whose operator has no channel finds a token alone.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

_MAX_BYTES = 65_536


class NoChannel(Exception):  # the condition is the name
    """There is no channel now; one may appear."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where somebody listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Return the address in `host:port` or `[v6]:port`; ValueError if it is none."""
        host, _, port = text.strip().rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise ValueError("is no host:port")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one connection takes."""

    address: Address
    tls: ssl.SSLContext
    token: str


def read(folder: Path) -> Credentials:
    """Return what the folder holds now, or raise `NoChannel` that names what is missing."""
    address, authority, token = (_text(folder / name) for name in ("address", "ca.crt", "token"))
    try:
        context = ssl.create_default_context(cadata=authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return Credentials(Address.parse(address), context, token)
    except (ssl.SSLError, ValueError) as exc:
        raise NoChannel(f"{folder}: {exc}") from exc


def _text(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            text = file.read(_MAX_BYTES).strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise NoChannel(f"{path} cannot be read") from exc
    if not text:
        raise NoChannel(f"{path} is empty")
    return text
