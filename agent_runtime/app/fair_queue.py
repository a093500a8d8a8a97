"""Who is next when not everybody can be served at once.

Invariants: the highest priority that waits comes first, but passes a lower one over only so often;
within a priority tenants take turns, whoever of them sends how much; a tenant alone never takes all
of the room, so that there is always some for another.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from agent_runtime.guard.principal import Principal, Priority

PASSED_OVER = {Priority.VIP: 0, Priority.NORMAL: 32, Priority.LOW: 32}
"""How often in a row a priority that waits may be passed over for higher ones."""
_RANKS = tuple(Priority)  # as they are declared: the highest first

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Place(Generic[T]):
    """One who waits."""

    who: T
    tenant: str
    since: float


class _Lane(Generic[T]):
    """Those of one priority, by tenant; the tenant whose turn it is comes first."""

    def __init__(self) -> None:
        self.tenants: OrderedDict[str, deque[Place[T]]] = OrderedDict()
        self.size = 0
        self.passed_over = 0

    def add(self, place: Place[T]) -> None:
        self.tenants.setdefault(place.tenant, deque()).append(place)
        self.size += 1

    def take(self) -> Place[T]:
        tenant, line = next(iter(self.tenants.items()))
        place = line.popleft()
        self._left(tenant, line)
        return place

    def drop(self, place: Place[T]) -> bool:
        line = self.tenants.get(place.tenant)
        if line is None or place not in line:
            return False
        line.remove(place)
        self.size -= 1
        if not line:
            del self.tenants[place.tenant]
        return True

    def _left(self, tenant: str, line: deque[Place[T]]) -> None:
        self.size -= 1
        if line:
            self.tenants.move_to_end(tenant)
        else:
            del self.tenants[tenant]


class FairQueue(Generic[T]):
    """Those who wait, in order."""

    def __init__(self) -> None:
        self._lanes: dict[Priority, _Lane[T]] = {rank: _Lane() for rank in _RANKS}
        self.size = 0

    def has_room(self, who: Principal, *, most: int) -> bool:
        """Return whether one more of this tenant fits among at most so many of its priority.

        A tenant's share is `most / (tenants that wait + 1)`, itself among them: 30 with one other
        that waits -> 10. The rest is room for the next tenant.
        """
        lane = self._lanes[who.priority]
        if lane.size >= most:
            return False
        own = lane.tenants.get(tenant_of(who), ())
        waiting = len(lane.tenants) + (not own)
        return len(own) < max(1, most // (waiting + 1))

    def ahead_of(self, who: Principal) -> int:
        """Return how many wait whose turn comes first, all of the same priority among them."""
        rank = _RANKS.index(who.priority)
        return sum(self._lanes[priority].size for priority in _RANKS[: rank + 1])

    def add(self, who: T, principal: Principal, now: float) -> Place[T]:
        """Let somebody wait."""
        place = Place(who, tenant_of(principal), now)
        self._lanes[principal.priority].add(place)
        self.size += 1
        return place

    def take(self) -> T | None:
        """Return whose turn it is, and let them go; None if nobody waits."""
        waiting = [rank for rank in _RANKS if self._lanes[rank].size]
        if not waiting:
            return None
        chosen = waiting[0]
        for rank in waiting[1:]:
            if self._lanes[rank].passed_over >= PASSED_OVER[rank]:
                chosen = rank
                break
        for rank in waiting:
            lane = self._lanes[rank]
            lane.passed_over = 0 if rank is chosen else lane.passed_over + 1
        self.size -= 1
        return self._lanes[chosen].take().who

    def drop(self, place: Place[T]) -> None:
        """Forget somebody who has given up; nothing happens if it was their turn already."""
        if any(lane.drop(place) for lane in self._lanes.values()):
            self.size -= 1

    def oldest(self) -> float | None:
        """Return since when the longest wait lasts."""
        return min((line[0].since for line in self._lines()), default=None)

    def _lines(self) -> Iterator[deque[Place[T]]]:
        for lane in self._lanes.values():
            yield from lane.tenants.values()


def tenant_of(who: Principal) -> str:
    """Return whose share somebody's requests count for: the tenant's, else their own."""
    return who.tenant or who.id
