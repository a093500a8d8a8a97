"""Ports for servers that tests and benchmarks start on the loopback interface."""

from __future__ import annotations

import secrets
import socket

FIRST, LAST = 10_240, 19_999
"""Below the ports that Linux gives to outgoing connections (from 32768): one of those could take a
port between its choice and its use."""


def free() -> int:
    """Return a port on which nobody listens now, at random: many choose at the same time."""
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST + 1)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
