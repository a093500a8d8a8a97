"""Which namespaces are served: those of which every cache is filled.

An operator of several namespaces has rights in each of them by a Role of its own. One that is
missing, on its way out, or without that Role must not keep the others waiting (I12), and nothing
may be concluded about a namespace that is seen in part (I2): it is left alone until all is seen.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

logger = logging.getLogger(__name__)

Scope = str | None
"""A namespace; None: all of them."""


class Cache(Protocol):
    """A copy of one kind of object in one scope."""

    synced: asyncio.Event
    """It was filled once."""
    answered: asyncio.Event
    """It was filled, or the apiserver refused to show what is in it."""
    refusal: str
    """Why it is not shown to us now; empty when it is."""


class Coverage:
    """The caches by scope."""

    def __init__(
        self,
        scopes: Mapping[Scope, Mapping[str, Cache]],
        *,
        served: Callable[[Scope], None],
    ) -> None:
        """Take the caches by the kind that they hold, and whom to tell of a scope that is seen."""
        self._scopes = scopes
        self._tell = served
        self._served: set[Scope] = set()
        self._first = asyncio.Event()

    def serves(self, namespace: str) -> bool:
        """Say whether the systems of a namespace may be worked on."""
        return None in self._served or namespace in self._served

    async def follow(self) -> None:
        """Take note of scopes as they are filled; only cancellation ends it."""
        async with asyncio.TaskGroup() as group:
            for scope, caches in self._scopes.items():
                group.create_task(self._fill(scope, list(caches.values())))
        await asyncio.Event().wait()

    async def wait(self) -> None:
        """Return when one scope at least is served and each of the others was refused."""
        for caches in self._scopes.values():
            for cache in caches.values():
                await cache.answered.wait()
        await self._first.wait()

    @property
    def unready(self) -> Sequence[str]:
        """What is missing as long as nothing at all is served."""
        if self._served:
            return ()
        return [*self.missing, *(f"not listed yet: {kind}" for kind in self._unlisted())]

    @property
    def missing(self) -> Sequence[str]:
        """What the apiserver does not show us, one line for each scope."""
        return [text for scope in self._scopes if (text := self._refused(scope))]

    async def _fill(self, scope: Scope, caches: Sequence[Cache]) -> None:
        for cache in caches:
            await cache.synced.wait()
        self._served.add(scope)
        self._first.set()
        if scope is not None:
            logger.info("serving", extra={"namespace": scope})
        self._tell(scope)

    def _refused(self, scope: Scope) -> str:
        refused = {kind: c.refusal for kind, c in self._scopes[scope].items() if c.refusal}
        if not refused:
            return ""
        where = "cluster" if scope is None else f"namespace {scope}"
        kind, why = next(iter(refused.items()))
        more = f" (and {len(refused) - 1} more kinds)" if len(refused) > 1 else ""
        return f"{where} is not served: {kind}{more}: {why}"

    def _unlisted(self) -> Sequence[str]:
        kinds = (
            kind
            for caches in self._scopes.values()
            for kind, cache in caches.items()
            if not cache.answered.is_set()
        )
        return list(dict.fromkeys(kinds))
