"""Who may write: the holder of a Lease, renewed every 2 s, given up after 10 s, free after 15 s.

Invariant: two processes never write at the same time. A leader writes only before a deadline on
its own monotonic clock, 10 s after the *start* of its last successful renewal; a write takes at
most 5 s; another process takes the Lease only after it saw no renewal for 15 s of its own clock.
Wall clocks are written for humans and never compared.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace

from agentsystem_operator import ports

LEASE_S = 15.0
RENEW_DEADLINE_S = 10.0
RENEW_EVERY_S = 2.0
LOOK_EVERY_S = 1.0
"""A follower sees the last renewal at most this late, and waits that much longer after a crash."""
REST_MIN_S = 0.1
CALL_TIMEOUT_S = 3.0
"""A renewal that hangs is given up early enough for two more attempts before the deadline."""

logger = logging.getLogger(__name__)


class Elector:
    """Takes, keeps and gives back one Lease."""

    def __init__(
        self,
        leases: ports.Leases,
        *,
        identity: str,
        monotonic: Callable[[], float],
        address: str = "",
    ) -> None:
        """`address`: where our channel is, for the others to tell."""
        self._leases = leases
        self._identity = identity
        self._address = address
        self._monotonic = monotonic
        self._known: ports.Lease | None = None
        self._current = False
        self._complained = False
        self._changed_at = 0.0
        self._deadline = float("-inf")
        self.leading = asyncio.Event()
        self.following = asyncio.Event()
        self.following.set()

    @property
    def may_write(self) -> bool:
        """Say whether a write that starts now is covered by the Lease."""
        return self._monotonic() < self._deadline

    @property
    def leader_address(self) -> str:
        """Return where the leader's channel is, "" when that is not known."""
        known = self._known
        return known.address if known is not None and known.holder else ""

    def check(self) -> None:
        """Raise NotLeading unless a write that starts now is covered by the Lease."""
        if not self.may_write:
            raise ports.NotLeading("the Lease is not ours, or was not renewed in time")

    async def run(self) -> None:
        """Elect for ever; only cancellation ends it."""
        while True:
            started = self._monotonic()
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    await self._round(started)
            except (ports.ClusterError, TimeoutError) as exc:
                self._current = False  # what stands there now is unknown: read it first
                self._complain(str(exc) or type(exc).__name__)
            if self.leading.is_set() and not self.may_write:
                self._step_down("not renewed in time")
            await asyncio.sleep(self._rest(started))

    async def release(self) -> None:
        """Stop leading and free the Lease, so that another process need not wait; best effort."""
        led = self.leading.is_set()
        self._step_down("released")
        if not led:
            return
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                # Read, since a renewal that was cut off may have made another version of it.
                found = await self._leases.read()
                if found is not None and self._is_ours(found):
                    await self._leases.write(replace(found, holder="", duration_s=1.0, address=""))
        except (ports.ClusterError, TimeoutError) as exc:
            logger.info("lease not released; it expires", extra={"error": str(exc)})

    async def _round(self, started: float) -> None:
        """Renew what is ours, take what is free, or look at what is another's."""
        if not self._current or self._known is None or not self._is_ours(self._known):
            self._learn(await self._leases.read())
        if self._known is not None and not self._is_free(self._known):
            if self.leading.is_set():
                self._step_down(f"taken by {self._known.holder}")
            return
        await self._write(started)

    def _complain(self, error: str) -> None:
        if not self._complained:  # one line per outage
            self._complained = True
            logger.info("lease call failed; trying again", extra={"error": error})

    def _learn(self, found: ports.Lease | None) -> None:
        if _stamp(found) != _stamp(self._known):
            self._changed_at = self._monotonic()
        self._known = found
        self._current = True
        self._complained = False

    def _is_ours(self, lease: ports.Lease) -> bool:
        return lease.holder == self._identity

    def _is_free(self, lease: ports.Lease) -> bool:
        expired = self._monotonic() - self._changed_at >= (lease.duration_s or LEASE_S)
        return self._is_ours(lease) or not lease.holder or expired

    async def _write(self, started: float) -> None:
        old = self._known or ports.Lease("", LEASE_S, "", 0, "")
        transitions = old.transitions + (0 if self._is_ours(old) else 1)
        wanted = replace(
            old,
            holder=self._identity,
            duration_s=LEASE_S,
            transitions=transitions,
            address=self._address,
        )
        self._learn(await self._leases.write(wanted))
        self._deadline = started + RENEW_DEADLINE_S
        if not self.leading.is_set():
            self.following.clear()
            self.leading.set()
            logger.info("leading", extra={"identity": self._identity})

    def _step_down(self, reason: str) -> None:
        self._deadline = float("-inf")
        if self.leading.is_set():
            self.leading.clear()
            self.following.set()
            logger.warning("not leading any more", extra={"reason": reason})

    def _rest(self, started: float) -> float:
        now = self._monotonic()
        if self.leading.is_set():
            return max(started + RENEW_EVERY_S - now, REST_MIN_S)
        rest = LOOK_EVERY_S * random.uniform(0.8, 1.0)  # noqa: S311 -- followers need not coincide
        if self._known is not None and self._known.holder:
            # Wake up right when it expires, if nobody renews it until then.
            left = self._changed_at + (self._known.duration_s or LEASE_S) - now
            rest = min(rest, max(left, REST_MIN_S)) if left > 0 else rest
        return rest


def _stamp(lease: ports.Lease | None) -> tuple[str, str] | None:
    return None if lease is None else (lease.holder, lease.renewed)
