"""What the tests of the channel share."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.contract.channel.rig import HOST, Signer


@pytest.fixture(scope="package")
def signer() -> Signer:
    """The cluster's signing key, made once: RSA takes its time."""
    return Signer()


@pytest.fixture
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve the channel's name to loopback, which in a cluster DNS does."""
    real = socket.getaddrinfo

    def resolved(host: Any, *more: Any, **named: Any) -> Any:
        return real("127.0.0.1" if host == HOST else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
