"""The operator's end of the channel: who may speak, how much, and what becomes of it.

Invariants: nothing that is said counts before a token has proved who says it; no connection can
take more of the event loop than its share; a pod has one connection.
"""

import asyncio
import logging
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

import msgspec

from agentsystem_operator import ports
from agentsystem_operator.adapters.channel import messages
from agentsystem_operator.adapters.channel.limits import Limits
from agentsystem_operator.adapters.channel.messages import Hello, Redirect, Refused, Report, Welcome
from agentsystem_operator.adapters.channel.tls import SecureLines
from agentsystem_operator.adapters.channel.tokens import SKEW, Claims, Refusal, Rejected
from agentsystem_operator.model.heard import Load, Said, Speaker

Context = Callable[[], ssl.SSLContext | None]
SWEEP_S = 1.0
BACKLOG = 1024

logger = logging.getLogger(__name__)


class Table(Protocol):
    """Who is told what pods say."""

    def heard(self, speaker: Speaker, load: Load, said: Said) -> None:
        """Take a report; `said` is the same object for as long as a pod repeats itself."""


class Tally(Protocol):
    """Who counts."""

    def channel_refused(self, reason: str) -> None:
        """Count a connection that was not taken, or was ended."""

    def channel_reported(self) -> None:
        """Count a report."""


class Role(Protocol):
    """Who leads."""

    @property
    def may_write(self) -> bool:
        """Say whether we do."""

    @property
    def leader_address(self) -> str:
        """Return where the leader's channel is, "" when that is not known."""


class Desk:
    """What all connections of a server have in common."""

    def __init__(
        self,
        *,
        verify: Callable[[str], Awaitable[Claims]],
        speaker_of: Callable[[Claims], Speaker | None],
        role: Role,
        table: Table,
        tally: Tally,
        clock: ports.Clock,
        limits: Limits,
    ) -> None:
        """`speaker_of` tells which agent's pod a verified token is of; None: of nobody's."""
        self.verify = verify
        self.speaker_of = speaker_of
        self.role = role
        self.table = table
        self.tally = tally
        self.clock = clock
        self.limits = limits
        self.open: set[Session] = set()
        self.proved: dict[str, Session] = {}
        """By the pod's uid."""
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def is_full(self) -> bool:
        """Say whether one connection more would be too many."""
        unproved = len(self.open) - len(self.proved)
        return len(self.open) > self.limits.connections or unproved > self.limits.unproved


class ChannelServer:
    """Listens for pods."""

    def __init__(self, desk: Desk, context: Context) -> None:
        """`context`: the certificate of the moment; None while there is none."""
        self._desk = desk
        self._context = context
        self._buffer = memoryview(bytearray(desk.limits.read_bytes))
        self._openings: OrderedDict[str, Allowance] = OrderedDict()

    async def run(self, host: str, port: int, *, ready: Callable[[int], None]) -> None:
        """Serve until cancelled; `ready` is told the port."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._accept, host, port, backlog=BACKLOG)
        try:
            ready(server.sockets[0].getsockname()[1])
            while True:
                await asyncio.sleep(SWEEP_S)
                self._sweep(loop.time())
        finally:
            server.close()
            for session in list(self._desk.open):
                session.abort()
            for task in self._desk.tasks:
                task.cancel()

    def _accept(self) -> asyncio.BaseProtocol:
        context = self._context()
        if context is None:
            return _Closed()
        return SecureLines(context, self._buffer, self._desk.limits, self._open)

    def _open(self, link: SecureLines) -> "Session":
        session = Session(self._desk, link)
        self._desk.open.add(session)
        if self._desk.is_full or not self._may_open(link.peer):
            # Without a word: a handshake is what this is to save.
            self._desk.tally.channel_refused(Refusal.BUSY)
            link.abort()
        return session

    def _may_open(self, address: str) -> bool:
        limits, now = self._desk.limits, asyncio.get_running_loop().time()
        allowance = self._openings.get(address)
        if allowance is None:
            allowance = Allowance(limits.opened_per_s, limits.opened_burst, now)
            self._openings[address] = allowance
            if len(self._openings) > limits.addresses:
                self._openings.popitem(last=False)
        self._openings.move_to_end(address)
        return allowance.take(now) <= 0

    def _sweep(self, now: float) -> None:
        wall, leads = self._desk.clock.now(), self._desk.role.may_write
        for session in list(self._desk.open):
            session.look(now, leads=leads, expired=session.expires_before(wall - SKEW))


class Allowance:
    """A bucket of so many things at once, refilled at a steady rate."""

    __slots__ = ("_burst", "_left", "_per_s", "_seen")

    def __init__(self, per_s: float, burst: int, now: float) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._left = self._burst
        self._seen = now

    def take(self, now: float) -> float:
        """Take one thing and return 0, or return after how many seconds there will be one."""
        self._left = min(self._burst, self._left + (now - self._seen) * self._per_s)
        self._seen = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._per_s


class Session:
    """One connection, from its first line to its end."""

    def __init__(self, desk: Desk, link: SecureLines) -> None:
        now = asyncio.get_running_loop().time()
        self._desk = desk
        self._link = link
        self._opened_at = self._heard_at = now
        self._pace = Allowance(desk.limits.lines_per_s, desk.limits.lines_burst, now)
        self._claims: Claims | None = None
        self._speaker: Speaker | None = None
        self._last: Report | None = None
        self._said = Said()
        self._proving = False

    # -- what the link calls -------------------------------------------------

    def line(self, text: bytes) -> None:
        """Take one line."""
        now = asyncio.get_running_loop().time()
        self._heard_at = now
        try:
            said = messages.FROM_POD.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._refuse(Refusal.BAD_MESSAGE)
            return
        if isinstance(said, Report) and self._speaker is not None:
            self._report(self._speaker, said)
        elif isinstance(said, Hello) and not self._proving:
            self._prove(said)
        else:
            self._refuse(Refusal.BAD_MESSAGE)
            return
        if (wait_s := self._pace.take(now)) > 0:
            self._link.wait(wait_s)

    def too_long(self) -> None:
        """Take note of a line beyond the limit."""
        self._refuse(Refusal.BAD_MESSAGE)

    def lost(self) -> None:
        """Take note of the end."""
        self._desk.open.discard(self)
        if self._speaker is not None and self._desk.proved.get(self._speaker.pod) is self:
            del self._desk.proved[self._speaker.pod]

    # -- what the server calls -----------------------------------------------

    def look(self, now: float, *, leads: bool, expired: bool) -> None:
        """End what has been silent or unproved for too long, and everything once we do not lead."""
        limits = self._desk.limits
        if self._speaker is None:
            if now - self._opened_at > limits.prove_s:
                self._refuse(Refusal.TOO_SLOW)
        elif not leads:
            self._send_away()
        elif expired:
            self._refuse(Refusal.EXPIRED)
        elif now - self._heard_at > limits.silence_s:
            self._desk.tally.channel_refused(Refusal.TOO_SLOW)
            self._link.abort()

    def expires_before(self, moment: datetime) -> bool:
        """Say whether the token's time is over: the connection lives no longer than it."""
        return self._claims is not None and self._claims.expires <= moment

    def abort(self) -> None:
        """End at once."""
        self._link.abort()

    # ------------------------------------------------------------------------

    def _report(self, speaker: Speaker, report: Report) -> None:
        last, self._last = self._last, report
        if last is None or last.verdicts != report.verdicts:
            self._said = report.said()
        self._desk.tally.channel_reported()
        self._desk.table.heard(speaker, report.load.value(), self._said)

    def _prove(self, hello: Hello) -> None:
        self._proving = True
        if not self._desk.role.may_write:
            self._send_away()
            return
        self._link.hold()
        task = asyncio.create_task(self._verify(hello.token))
        self._desk.tasks.add(task)  # bounded by the connections that are not proved yet
        task.add_done_callback(self._desk.tasks.discard)

    async def _verify(self, token: str) -> None:
        try:
            claims = await self._desk.verify(token)
        except Rejected as exc:
            self._refuse(exc.refusal)
            return
        except ports.ClusterError:
            self._refuse(Refusal.NOT_NOW)
            return
        speaker = self._desk.speaker_of(claims)
        if speaker is None:
            self._refuse(Refusal.UNKNOWN_ACCOUNT)
        elif self in self._desk.open:  # it may have gone meanwhile
            self._welcome(claims, speaker)

    def _welcome(self, claims: Claims, speaker: Speaker) -> None:
        earlier = self._desk.proved.get(speaker.pod)
        self._claims, self._speaker = claims, speaker
        self._desk.proved[speaker.pod] = self
        if earlier is not None:
            earlier._refuse(Refusal.REPLACED)
        self._link.send(messages.encode(Welcome()))
        self._link.go_on()

    def _send_away(self) -> None:
        address = self._desk.role.leader_address
        if not address:
            self._refuse(Refusal.NOT_NOW)
            return
        self._link.send(messages.encode(Redirect(address)))
        self._link.close()

    def _refuse(self, refusal: Refusal) -> None:
        self._desk.tally.channel_refused(refusal)
        self._link.send(messages.encode(Refused(refusal)))
        self._link.close()


class _Closed(asyncio.Protocol):
    """Ends a connection that comes before there is a certificate."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()
