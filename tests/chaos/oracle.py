"""What must hold at the end of every chaos case, whatever happened in it.

Each check returns sentences about what is wrong; an empty list is a pass. The reference is the
same story without faults, and a fresh install of the spec that it ends with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests import audit
from tests.chaos import canonical, fingerprint
from tests.chaos.fingerprint import World
from tests.chaos.record import OBJECT, Record

CLAIMS = "persistentvolumeclaims"


@dataclass(frozen=True, slots=True)
class Ending:
    """How one run of a story ended."""

    world: World
    created: Counter[OBJECT]
    deleted: Counter[OBJECT]
    touched: frozenset[OBJECT]
    disturbed: int
    """Writes in the part of the story that faults may hit."""
    settled_s: float
    """From the last fault or change to the last write."""


def ended(world: World, records: Iterable[Record], *, disturbed: int, settled_s: float) -> Ending:
    """Return the ending of a run, over all its operators."""
    records = list(records)
    touched = [name for record in records for name in record.touched()]
    plain = canonical.in_order(touched)
    return Ending(
        world=world,
        created=Counter(plain[name] for record in records for name in record.created()),
        deleted=Counter(plain[name] for record in records for name in record.deleted()),
        touched=frozenset(plain[name] for name in touched),
        disturbed=disturbed,
        settled_s=settled_s,
    )


def same_world(seen: Ending, reference: Ending) -> list[str]:
    """The story ends in the same world as without faults."""
    return fingerprint.differences(seen.world, reference.world)


def as_if_fresh(seen: Ending, fresh: World) -> list[str]:
    """Apart from its history the world is that of a fresh install of the same spec."""
    wanted = fingerprint.without_history(fresh, of=fresh)
    found = fingerprint.without_history(seen.world, of=fresh)
    return [f"fresh install: {line}" for line in fingerprint.differences(found, wanted)]


def same_lives(seen: Ending, reference: Ending) -> list[str]:
    """Each object was created and deleted as often as without faults."""
    return [
        *_counted("created", seen.created, reference.created),
        *_counted("deleted", seen.deleted, reference.deleted),
    ]


def nothing_foreign(seen: Ending, before: Mapping[fingerprint.Name, str]) -> list[str]:
    """Objects that are not the system's are exactly as they were."""
    return [
        f"{kind}/{name} is not ours and was changed or deleted"
        for (kind, name), version in before.items()
        if seen.world.versions.get((kind, name)) != version
    ]


def nothing_else_written(seen: Ending, reference: Ending) -> list[str]:
    """No object was written that the story without faults leaves alone."""
    return [
        f"{resource}/{name} was written; without faults it is not"
        for resource, name in sorted(seen.touched - reference.touched)
    ]


def no_orphan(seen: Ending) -> list[str]:
    """Every child has a live owner."""
    return [f"{kind}/{name} is an orphan" for kind, name in seen.world.orphans]


def no_volume_deleted(seen: Ending) -> list[str]:
    """No claim was deleted."""
    return [f"claim {name} was deleted" for resource, name in seen.deleted if resource == CLAIMS]


def settled_in_time(seen: Ending, limit_s: float) -> list[str]:
    """The last write came soon enough after the last fault."""
    if seen.settled_s <= limit_s:
        return []
    return [f"settled only {seen.settled_s:.0f} s after the last fault"]


def at_rest(asked: Iterable[audit.Request], *, for_s: float) -> list[str]:
    """Nothing was read or written in a time of rest (I3)."""
    return [f"asked at rest ({for_s:g} s): {request}" for request in asked]


def no_traceback(log: str) -> list[str]:
    """The operator met nothing that it had no answer to."""
    return ["traceback in the operator's log: " + _last_line(log)] if "Traceback" in log else []


def _last_line(log: str) -> str:
    line = next((line for line in log.splitlines() if "Traceback" in line), "")
    return line[-400:]


def _counted(what: str, seen: Counter[OBJECT], wanted: Counter[OBJECT]) -> list[str]:
    return [
        f"{resource}/{name} was {what} {seen[resource, name]} times, not {wanted[resource, name]}"
        for resource, name in sorted({*seen, *wanted})
        if seen[resource, name] != wanted[resource, name]
    ]
