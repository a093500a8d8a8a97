"""What every store has in common: how it says that it is away, and where its keys begin."""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable

from agent_runtime import upkeep

CONNECT_SECONDS = 1.0  # inside a data centre a connection is there at once or not at all
# a reply takes a millisecond, or tens where it waits for a disk; one that stalls may take a second
REPLY_SECONDS = 2.0
_FIRST_PAUSE_SECONDS = 0.05  # between attempts; doubled up to the longest, with full jitter
_LONGEST_PAUSE_SECONDS = 1.0
_STABLE_SECONDS = 5.0  # a connection that ends sooner is a failed attempt, so that none spins
_REFUSALS_APART_SECONDS = 60.0  # between two log lines about what a server refuses

_log = logging.getLogger(__name__)


class StoreUnavailable(Exception):  # the condition is the name
    """The store has not acknowledged what it was asked; try again later.

    A server that went away before it answered may have done it nevertheless.
    """


def scope(namespace: str, system: str) -> str:
    """Return what every stored key of a system starts with; "-": no cluster is configured."""
    return f"-/{namespace}/{system}"


class Availability:
    """Whether a server can be used; one log line and one call of `changed` for each change."""

    def __init__(self, store: str, changed: Callable[[bool], None]) -> None:
        self._store = store
        self._changed = changed
        self._known: bool | None = None  # nobody has asked yet
        self._refusals_from = 0.0
        self.why = "not asked yet"

    @property
    def is_away(self) -> bool:
        """Whether the last attempt to use the server failed."""
        return self._known is False

    def came(self) -> None:
        """Note that there is a connection."""
        if self._known is not True:
            _log.info("store can be used", extra={"store": self._store})
            self._known = True
            self._changed(True)

    def went(self, why: str) -> None:
        """Note that there is none; `why` names a condition, never a value."""
        self.why = why
        if self._known is not False:
            _log.warning("store cannot be used", extra={"store": self._store, "why": why})
            self._known = False
            self._changed(False)

    def refused(self, why: str) -> None:
        """Note that the server answers, but with an error: a log line once in a while."""
        now = time.monotonic()
        if now >= self._refusals_from:
            self._refusals_from = now + _REFUSALS_APART_SECONDS
            _log.warning("store refuses", extra={"store": self._store, "why": why})


async def keep_connected(name: str, hold_one: Callable[[], Awaitable[float]]) -> None:
    """Call `hold_one` for ever, with pauses; it returns how many seconds a connection lasted."""
    await upkeep.lasting(name, lambda: _keep_connected(hold_one))


async def _keep_connected(hold_one: Callable[[], Awaitable[float]]) -> None:
    pause_s = _FIRST_PAUSE_SECONDS
    while True:
        if await hold_one() > _STABLE_SECONDS:
            pause_s = _FIRST_PAUSE_SECONDS
            continue
        await asyncio.sleep(random.uniform(0.0, pause_s))  # noqa: S311  # no secret
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_SECONDS)


_NO_TLS = "the server speaks no TLS at this port"
_CERTIFICATE = {
    9: "is not valid yet",
    10: "has expired",
    **dict.fromkeys((18, 19, 20, 21), "is not by an authority that is known here"),
    **dict.fromkeys((62, 64), "is for another host"),
}
"""What is wrong with a certificate, by OpenSSL's number (X509_V_ERR_...)."""


def condition_of(exc: Exception, *, tls: bool) -> str:
    """Return why there is no connection, in words without values; `tls`: whether it was asked for.

    A server that waits for commands waits for the end of our greeting, too.
    """
    match exc:
        case TimeoutError():
            return f"no connection within {CONNECT_SECONDS:g} s" + (
                f", or {_NO_TLS}" if tls else ""
            )
        case ssl.SSLCertVerificationError(verify_code=number):
            what = _CERTIFICATE.get(number, f"is not good (OpenSSL's error {number})")
            return f"TLS: the server's certificate {what}"
        case ssl.SSLError():
            return f"TLS: {exc.reason or type(exc).__name__}"
        case OSError():
            # PostgreSQL's client has no type of its own for a server that declines
            declined = tls and type(exc) is ConnectionError
            return exc.strerror or (_NO_TLS if declined else type(exc).__name__)
        case _:
            return str(exc)
