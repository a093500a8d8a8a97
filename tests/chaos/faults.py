"""What the chaos proxy can be told to do: requests and watch events go in, faults come out.

A fault is a frozen value, chosen by a pure function of what is asked and of its counters. Chance
comes from `roll`, which a seed and the place of a request among its equals decide: the same seed
gives the same faults however the requests of a run interleave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b

WRITES = frozenset({"create", "update", "patch", "delete"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to the apiserver."""

    number: int
    """Place among all requests of this proxy, from 1."""
    write: int
    """Place among the writes, from 1; 0 for reads and for everything about Leases."""
    nth: int
    """Place among requests of the same verb and object, from 1."""
    verb: str
    """get, list, watch, create, update, patch or delete."""
    resource: str
    """Plural, with a subresource behind a slash; a path when it is not about a resource."""
    namespace: str
    name: str
    roll: float
    """Seeded chance in [0, 1)."""

    @property
    def is_write(self) -> bool:
        """Say whether it changes anything but a Lease."""
        return self.write > 0

    @property
    def is_lease(self) -> bool:
        """Say whether it is about a Lease."""
        return self.resource == "leases"

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Seen:
    """One event of a watch, on its way to the operator."""

    stream: int
    """Which watch of this proxy, from 1."""
    number: int
    """Place among all events of this proxy, from 1."""
    nth: int
    """Place in its stream, from 1."""
    type: str
    """ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""
    resource: str
    name: str
    roll: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Answered by the proxy; the apiserver never hears of the request."""

    status: int
    reason: str = ""
    """Of the Status object: Conflict, Expired, TooManyRequests, Forbidden, ..."""
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer for so long, or until the caller gives up; the request is never forwarded."""

    seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class Delay:
    """Forwarded that much later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection breaks: before the request is forwarded, or after the apiserver did it."""

    after_commit: bool = False


@dataclass(frozen=True, slots=True)
class HalfAnswer:
    """The apiserver did it, and the connection breaks in the middle of its answer."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Something happens to the operator at this request: see `Proxy.signalled`.

    Before the request is forwarded (which it then is not), or after the apiserver did it and
    before the reply (which then never comes). `forward`: it is forwarded and answered all the same.
    """

    name: str = "kill"
    after_commit: bool = False
    forward: bool = False


Fault = Answer | Hang | Delay | Reset | HalfAnswer | Signal


@dataclass(frozen=True, slots=True)
class Late:
    """The event and all behind it in its stream come that much later; 60 s is silence."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Twice:
    """The event comes twice."""


@dataclass(frozen=True, slots=True)
class Swapped:
    """The event comes after the next one of its stream."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The stream ends in front of the event, which is not delivered: politely or with half a line.

    The reader goes on from the last version that it saw, so nothing is lost.
    """

    half_line: bool = False


@dataclass(frozen=True, slots=True)
class Rewound:
    """After the event the last `events` ones of the stream come again, oldest first."""

    events: int = 5


@dataclass(frozen=True, slots=True)
class Failed:
    """Instead of the event comes an error, 410 by default, and the stream ends."""

    code: int = 410


Twist = Late | Twice | Swapped | Cut | Rewound | Failed

RequestScript = Callable[[Asked], Fault | None]
EventScript = Callable[[Seen], Twist | None]


def calm(_: Asked | Seen) -> None:
    """Do nothing to any request or event."""


def chance(seed: int, *place: object) -> float:
    """Return a number in [0, 1) that only the seed and the place decide."""
    digest = blake2b(repr((seed, *place)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def at_write(number: int, fault: Fault) -> RequestScript:
    """Return the script that does it once, at the n-th write."""
    return lambda asked: fault if asked.write == number else None


@dataclass(slots=True)
class Gate:
    """Holds back watch events: while it is shut none is delivered.

    Opened, everything that was held comes in order; `lose` ends the streams with 410 instead, so
    that what was held is never seen.
    """

    passable: asyncio.Event = field(default_factory=asyncio.Event)
    lost: int = 0
    """How many times what was held was thrown away."""

    def __post_init__(self) -> None:
        self.passable.set()

    def shut(self) -> None:
        """Hold back everything from now on."""
        self.passable.clear()

    def open(self) -> None:
        """Deliver what was held, and everything after it."""
        self.passable.set()

    def lose(self) -> None:
        """Throw away what was held and let the streams expire."""
        self.lost += 1
        self.passable.set()
