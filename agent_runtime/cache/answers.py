"""What is known to this process and to those that share with it, and until when it is good."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from agent_runtime.cache import kept as shelves
from agent_runtime.cache import key as keys
from agent_runtime.cache import shared as sharing
from agent_runtime.cache.flights import Flights
from agent_runtime.cache.kept import Kept, Shelf
from agent_runtime.cache.shared import Shared
from agent_runtime.observability.cache_metrics import CacheMetrics
from agent_runtime.providers.base import Answer, Prompt
from agent_runtime.providers.receipt import Cache
from agent_runtime.stores.base import StoreUnavailable

KEPT_TTLS = 10
"""Where old answers may be better than none, each is kept for so many times its time to live."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How long answers are good, and of which configuration they are."""

    ttl_s: float
    revision: str
    may_serve_stale: Callable[[], bool] | None = None
    """Whether an answer whose time is over is better than none now; None: it never is, and nothing
    is kept for longer."""
    clock: Callable[[], float] = time.time


class Answers:
    """Shared by all agents of a process."""

    def __init__(
        self, rules: Rules, shelf: Shelf, shared: Shared | None, metrics: CacheMetrics
    ) -> None:
        self._rules = rules
        self._shelf = shelf
        self._shared = shared
        self._metrics = metrics
        self._kept_s = rules.ttl_s * (1 if rules.may_serve_stale is None else KEPT_TTLS)
        self.flights = Flights()

    def key(self, prompt: Prompt) -> bytes | None:
        """Return the key of a question, None if the cache has no part in it."""
        receipt = prompt.receipt
        if not (receipt.may_look or receipt.may_share):
            return None
        return keys.of(prompt, self._rules.revision)

    def here(self, key: bytes) -> Answer | None:
        """Return what this process knows."""
        kept = self._shelf.get(key)
        if kept is None:
            return None
        if self._is_good(kept):
            return kept.answer()
        if not self._is_kept(kept):
            self._shelf.drop(key)
        return None

    async def elsewhere(self, key: bytes) -> tuple[Answer, Cache] | None:
        """Return what other processes know, or else what anybody knew for too long already."""
        there = await self._shared_one(key)
        if there is not None and self._is_good(there):
            self._put(key, there)
            return there.answer(), Cache.SHARED
        may_serve_stale = self._rules.may_serve_stale
        if may_serve_stale is None or not may_serve_stale():
            return None
        for old in (self._shelf.get(key), there):
            if old is not None and self._is_kept(old):
                return old.answer(), Cache.STALE
        return None

    def is_shareable(self, prompt: Prompt, answer: Answer) -> bool:
        """Return whether others who ask the same may be given an answer."""
        return prompt.receipt.may_share and keys.may_be_kept(answer.message, answer.finish_reason)

    async def keep(self, key: bytes, answer: Answer) -> None:
        """Remember an answer that may be shared."""
        body = shelves.written(answer)
        if body is None:
            return
        kept = Kept(self._rules.clock() + self._rules.ttl_s, body)
        self._put(key, kept)
        if self._shared is None:
            return
        try:
            await self._shared.put(key, sharing.packed(key, kept), self._kept_s)
        except StoreUnavailable:
            self._metrics.away.inc()

    def count(self, prompt: Prompt, outcome: Cache) -> None:
        """Say what the cache did for a request."""
        prompt.receipt.cache = outcome
        self._metrics.took_part(prompt.agent, outcome)

    async def _shared_one(self, key: bytes) -> Kept | None:
        if self._shared is None:
            return None
        try:
            return sharing.unpacked(key, await self._shared.get(key))
        except StoreUnavailable:
            self._metrics.away.inc()
            return None

    def _put(self, key: bytes, kept: Kept) -> None:
        gone = self._shelf.put(key, kept)
        if gone:
            self._metrics.evictions.inc(gone)

    def _is_good(self, kept: Kept) -> bool:
        return self._rules.clock() < kept.until

    def _is_kept(self, kept: Kept) -> bool:
        return self._rules.clock() < kept.until - self._rules.ttl_s + self._kept_s
