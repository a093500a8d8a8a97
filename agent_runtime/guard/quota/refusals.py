"""Who was refused a moment ago, and would be again: a flood costs no round trip and no queue."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from agent_runtime.guard.quota.rates import Refused, Subject

REMEMBER_S = 1.0
"""Nobody waits longer than that for a limit that was lifted in the store."""
MAX_REMEMBERED = 10_000

_Key = tuple[str, str]


class Refusals:
    """The newest refusals."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[_Key, tuple[float, Refused]] = OrderedDict()

    def keep(self, subjects: tuple[Subject, ...], refused: Refused) -> None:
        """Remember a refusal by the subject whose limit it was."""
        for subject in subjects:
            if subject.scope is refused.scope:
                self._known[subject.scope, subject.name] = (self._clock(), refused)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

    def find(self, subjects: tuple[Subject, ...]) -> Refused | None:
        """Return a refusal that still holds, with the waits that are left of it."""
        if not self._known:
            return None
        for subject in subjects:
            key = (subject.scope, subject.name)
            found = self._known.get(key)
            if found is None:
                continue
            passed_s, refused = self._clock() - found[0], found[1]
            if passed_s < min(REMEMBER_S, refused.retry_after_s):
                return replace(
                    refused,
                    retry_after_s=refused.retry_after_s - passed_s,
                    reset_s=refused.reset_s - passed_s,
                )
            del self._known[key]
        return None
