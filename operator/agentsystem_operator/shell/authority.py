"""Keeps the channel's certificate authority: its Secret, our certificate, the pods' bundle.

The leader makes generations and retires them (`decide.authority`); every replica signs its own
certificate, so that no more than the authority is shared. The Secret is read when we begin to lead,
when the certificate is renewed, and once a day.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from agentsystem_operator import ports
from agentsystem_operator.decide import authority
from agentsystem_operator.decide.authority import CERTIFICATE_RENEWED_AFTER, Generation
from agentsystem_operator.shell import queue

CERTIFICATES, KEYS = "ca.crt", "ca.key"
RETRY_MAX_S = 300.0
"""After failures; a Secret that was not installed stays missing until somebody acts."""
SLEEP_MAX_S = 86_400.0
"""A clock that jumped is noticed within a day."""
ROUNDS_MAX = 3
"""Reading again after a conflict: with one writer at a time there is one at most."""

logger = logging.getLogger(__name__)


class NotMadeYet(ports.ClusterError):
    """The leader has still to make the first authority."""


class Authority(Protocol):
    """One generation."""

    @property
    def dates(self) -> Generation:
        """Return when it was made and when it ends."""

    @property
    def certificate_pem(self) -> str:
        """Return its certificate."""

    @property
    def key_pem(self) -> str:
        """Return its key."""


A = TypeVar("A", bound=Authority)


class Mint(Protocol[A]):
    """What makes and reads authorities."""

    def make(self, now: datetime) -> A:
        """Return a new one."""

    def read(self, certificates: str, keys: str) -> tuple[A, ...]:
        """Return those in two PEM texts."""

    def server_context(
        self, signer: A, names: Sequence[str], now: datetime
    ) -> tuple[ssl.SSLContext, datetime]:
        """Return a context with a certificate of the signer's, and when that ends."""


class Leads(Protocol):
    """Who may write."""

    leading: asyncio.Event

    @property
    def may_write(self) -> bool:
        """Say whether we may."""

    def check(self) -> None:
        """Raise NotLeading unless we may."""


class AuthorityKeeper(Generic[A]):
    """The authority as far as one process knows it."""

    def __init__(
        self,
        secret: ports.AuthoritySecret,
        mint: Mint[A],
        role: Leads,
        *,
        clock: ports.Clock,
        names: Sequence[str],
        changed: Callable[[], None],
    ) -> None:
        """`names`: what pods call us; `changed` is called when the bundle is another one."""
        self._secret = secret
        self._mint = mint
        self._role = role
        self._clock = clock
        self._names = names
        self._changed = changed
        self._faults = 0
        self._told: type[Exception] | None = None
        self.bundle = ""
        """The certificates that pods trust, "" while they are not known."""
        self.context: ssl.SSLContext | None = None
        """How we prove who we are."""

    async def run(self) -> None:
        """Keep it for ever."""
        while True:
            led = self._role.may_write
            try:
                delay = self._until(await self._keep())
                self._faults, self._told = 0, None
            except (ports.ClusterError, OSError) as exc:
                delay = self._complain(exc)
            await self._rest(delay, led=led)

    async def _rest(self, delay: float, *, led: bool) -> None:
        """Sleep, but wake up when we begin to lead."""
        if led:
            await asyncio.sleep(delay)
            return
        try:
            async with asyncio.timeout(delay):
                await self._role.leading.wait()
        except TimeoutError:
            return

    def _until(self, moment: datetime) -> float:
        return min(max((moment - self._clock.now()).total_seconds(), 1.0), SLEEP_MAX_S)

    def _complain(self, exc: Exception) -> float:
        """Say what is wrong, once as long as it is the same; returns how long to wait."""
        self._faults += 1
        if isinstance(exc, NotMadeYet):
            if self._told is None:
                logger.info("the channel waits for the leader to make its authority")
        elif self._told is not type(exc):
            fields = {"reason": type(exc).__name__, "error": str(exc)}
            logger.warning("the channel's authority cannot be used", extra=fields)
        self._told = type(exc)
        return queue.backoff(self._faults, most_s=RETRY_MAX_S, jitter=1.0)

    async def _keep(self) -> datetime:
        """Read, write what is due, take over what stands; returns when to look again."""
        for _ in range(ROUNDS_MAX):
            now = self._clock.now()
            there = self._read(await self._secret.read())
            try:
                kept = await self._keep_up(there, now)
            except ports.ConflictLost:
                continue
            return await self._take(kept, now)
        raise ports.ConflictLost("the channel's Secret changes all the time")

    def _read(self, content: ports.SecretTexts) -> tuple[A, ...]:
        texts = content.texts
        return self._mint.read(texts.get(CERTIFICATES, ""), texts.get(KEYS, ""))

    async def _keep_up(self, there: tuple[A, ...], now: datetime) -> tuple[A, ...]:
        """Write what is due if we lead; returns what stands then."""
        plan = authority.decide([each.dates for each in there], now)
        wanted = tuple(there[i] for i in plan.trusted)
        if plan.make:
            wanted = (*wanted, self._mint.make(now))
        if wanted == there or not self._role.may_write:
            return there
        self._role.check()
        await self._secret.write(
            ports.SecretTexts(
                {
                    CERTIFICATES: "".join(each.certificate_pem for each in wanted),
                    KEYS: "".join(each.key_pem for each in wanted),
                }
            )
        )
        logger.info("the channel's authority was renewed", extra={"generations": len(wanted)})
        return wanted

    async def _take(self, kept: tuple[A, ...], now: datetime) -> datetime:
        plan = authority.decide([each.dates for each in kept], now)
        if plan.signer is None:
            raise NotMadeYet("no certificate authority yet")
        # It goes through a file, which the event loop must not wait for.
        self.context, ends = await asyncio.to_thread(
            self._mint.server_context, kept[plan.signer], self._names, now
        )
        bundle = "".join(kept[i].certificate_pem for i in plan.trusted)
        if bundle != self.bundle:
            self.bundle = bundle
            self._changed()
        renewed = min(now + CERTIFICATE_RENEWED_AFTER, ends - timedelta(days=1))
        return min(renewed, plan.look_again) if self._role.may_write else renewed
