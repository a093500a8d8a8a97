"""When the channel's certificate authority is replaced, and by which of its generations we sign.

Invariant: whoever has the bundle of an hour ago can verify every certificate that is in use, and
whoever has today's can verify those that were issued a certificate's life ago. So a successor is
made long before it is needed, signs only when its certificate has had a day to reach the pods, and
stands beside its predecessor until nothing that the old one signed is valid any more.

  made      in every bundle      signs alone      the old one is dropped
  day 0     a day later          from then on     a day and a certificate's life (7 d) later
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

LIFE = timedelta(days=365)
REPLACED_AFTER = timedelta(days=240)
"""Two thirds: a successor that cannot be made for months is no outage yet."""
SPREADS = timedelta(days=1)
"""From a changed Secret to the last pod's bundle it is two minutes; a day forgives an outage."""
CERTIFICATE_LIFE = timedelta(days=7)
CERTIFICATE_RENEWED_AFTER = timedelta(days=4)
GENERATIONS_MAX = 4
"""Two in normal times; more were made by hand."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One certificate authority, by its dates."""

    born: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about the generations, which are called by their position."""

    trusted: tuple[int, ...]
    """Those that belong into the bundle, oldest first."""
    signer: int | None
    """Who signs now; None when none can."""
    make: bool
    """Whether one more is to be made."""
    look_again: datetime
    """When the answer changes by itself."""


def decide(generations: Sequence[Generation], now: datetime) -> Plan:
    """Return what is to be done with what there is."""
    living = [i for i, each in enumerate(generations) if now < each.ends - CERTIFICATE_LIFE]
    living.sort(key=lambda i: generations[i].born)
    if not living:
        return Plan((), None, make=True, look_again=now)
    spread = [i for i in living if now >= generations[i].born + SPREADS]
    signer = spread[-1] if spread else living[0]
    trusted = tuple(i for i in living if not _is_superseded(i, signer, generations, now))
    newest = generations[living[-1]]
    times = (
        newest.born + REPLACED_AFTER,
        *(generations[i].born + SPREADS for i in living),
        *(generations[i].born + SPREADS + CERTIFICATE_LIFE for i in living),
    )
    later = [time for time in times if time > now]
    make = now >= newest.born + REPLACED_AFTER
    return Plan(
        trusted[-GENERATIONS_MAX:],
        signer,
        make=make,
        look_again=min(later, default=now + CERTIFICATE_RENEWED_AFTER),
    )


def _is_superseded(i: int, signer: int, generations: Sequence[Generation], now: datetime) -> bool:
    """Say whether nothing that a generation signed can still be in use."""
    takes_over = generations[signer].born + SPREADS
    is_older = generations[i].born < generations[signer].born
    return is_older and now >= takes_over + CERTIFICATE_LIFE
