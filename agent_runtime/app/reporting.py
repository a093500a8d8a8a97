"""What this process says of itself over the channel: load, providers, routes, budget.

Read from what is counted anyway, once a second; nothing here is on the way of a request.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from agent_runtime.app.admission import Admission
from agent_runtime.app.contract import RouteEntry
from agent_runtime.channel.report import BudgetNow, Load, ProviderNow, Report, RouteNow
from agent_runtime.memory.base import StoreUnavailable
from agent_runtime.memory.sessions import Sessions
from agent_runtime.observability.load import LoadWindow
from agent_runtime.providers.base import ErrorClass
from agent_runtime.providers.breaker import Guarded, State
from agent_runtime.providers.keys import KeyFile

RECENT_S = 30.0
"""For so long the result of a request tells how a provider is now."""
LOOK_EVERY_S = 10.0
"""What takes a file or the store to know: which keys are missing, how many sessions there are."""
LOOK_S = 0.5
"""For that look; a store that is slow must not make the pod look silent."""

Models = Mapping[tuple[str, str], Guarded]
"""Each model that is used, by provider and model."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How providers and routes are, as the breakers and key files find them."""

    models: Models
    routes: Sequence[RouteEntry]
    keys: Mapping[str, KeyFile]
    clock: Callable[[], float] = time.monotonic

    def of_providers(self) -> tuple[ProviderNow, ...]:
        """Return each provider that is used, in the order of first use."""
        names = dict.fromkeys(provider for provider, _ in self.models)
        return tuple(self._provider(name) for name in names)

    def of_routes(self) -> tuple[RouteNow, ...]:
        """Return which provider each route asks first."""
        return tuple(self._route(route) for route in self.routes)

    def _provider(self, name: str) -> ProviderNow:
        if self._lacks_key(name):
            return ProviderNow(name, "Down", ErrorClass.KEY_MISSING.value, recent=True)
        models = [each for (provider, _), each in self.models.items() if provider == name]
        # A model that nobody asked yet tells nothing.
        asked = [each for each in models if each.asked_at is not None]
        failing = [each for each in asked if each.state is not State.CLOSED]
        recent = any(self._is_recent(each) for each in asked)
        if not failing:
            return ProviderNow(name, "Healthy", recent=recent)
        state = "Down" if len(failing) == len(asked) else "Impaired"
        latest = max(failing, key=lambda each: each.asked_at or 0.0)
        return ProviderNow(name, state, str(latest.last_failure or ""), recent=recent)

    def _route(self, route: RouteEntry) -> RouteNow:
        links = [(link.provider, link.model or "") for link in route.chain]
        usable = [link for link in links if self._is_usable(link)]
        recent = any(self._is_recent(self.models[link]) for link in links)
        return RouteNow(route.name, usable[0][0] if usable else "", recent=recent)

    def _is_usable(self, link: tuple[str, str]) -> bool:
        return self.models[link].state is State.CLOSED and not self._lacks_key(link[0])

    def _lacks_key(self, provider: str) -> bool:
        key = self.keys.get(provider)
        return key is not None and key.was_missing

    def _is_recent(self, model: Guarded) -> bool:
        return model.asked_at is not None and self.clock() - model.asked_at <= RECENT_S


class Reporter:
    """Makes the reports."""

    def __init__(
        self,
        standing: Standing,
        load: LoadWindow,
        admission: Admission,
        sessions: Sessions | None,
        *,
        budget: Callable[[], BudgetNow] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._standing = standing
        self._load = load
        self._admission = admission
        self._sessions = sessions
        self._budget = budget
        self._clock = clock
        self._looked_at = float("-inf")
        self._session_count: int | None = None

    async def report(self) -> Report:
        """Return what is to be said now."""
        if self._clock() - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = self._clock()
            await self._look()
        providers, routes = self._standing.of_providers(), self._standing.of_routes()
        budget = None if self._budget is None else self._budget()
        return Report(self._load_now(), providers, routes, budget)

    def _load_now(self) -> Load:
        admission = self._admission
        return Load(
            in_flight=admission.in_flight,
            queue_depth=admission.waiting,
            oldest_seconds=admission.oldest_wait_s(self._clock()),
            rate_per_second=self._load.rate_per_s,
            p95_seconds=self._load.p95_s,
            tokens_per_second=self._load.tokens_per_s,
            sessions=self._session_count,
            saturation=min(admission.in_flight / admission.limit, 1.0),
        )

    async def _look(self) -> None:
        for key in self._standing.keys.values():
            await _within(key.is_missing())
        if self._sessions is not None:
            self._session_count = await _within(self._sessions.count())


async def _within(look: Awaitable[int]) -> int | None:
    """Return what a look finds; None, which is not 0, when it fails or takes too long."""
    try:
        async with asyncio.timeout(LOOK_S):
            return await look
    except (StoreUnavailable, TimeoutError):
        return None
