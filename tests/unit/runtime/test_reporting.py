"""What a pod says of its providers and routes, and of its load."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from agent_runtime.app.admission import Admission
from agent_runtime.app.contract import RouteEntry
from agent_runtime.app.reporting import LOOK_EVERY_S, Reporter, Standing
from agent_runtime.channel.report import Load, ProviderNow, RouteNow
from agent_runtime.memory.base import StoreUnavailable
from agent_runtime.observability.load import LoadWindow
from agent_runtime.providers.base import (
    Answer,
    Chunk,
    ErrorClass,
    Prompt,
    ProviderError,
    Texts,
    Vectors,
)
from agent_runtime.providers.breaker import PROBE_AFTER_S, Breaker, Guarded

PROMPT = Prompt("front", [])


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Endpoint:
    """A provider that answers, or fails in one way."""

    def __init__(self) -> None:
        self.fails: ErrorClass | None = None

    async def complete(self, prompt: Prompt) -> Answer:
        del prompt
        if self.fails:
            raise ProviderError(self.fails, "sim", "no")
        return Answer({}, "stop", {})

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        yield Chunk({}, (await self.complete(prompt)).finish_reason)

    async def embed(self, texts: Texts) -> Vectors:
        raise ProviderError(ErrorClass.UNSUPPORTED, "sim", texts.agent)


class Key:
    def __init__(self) -> None:
        self.was_missing = False
        self.looks = 0

    async def is_missing(self) -> bool:
        self.looks += 1
        return self.was_missing


class World:
    """Provider `sim` with two models and a key, `canned` behind them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.endpoints = {name: Endpoint() for name in ("large", "small", "canned")}
        self.models = {
            ("sim", "large"): self._guarded("sim", "large"),
            ("sim", "small"): self._guarded("sim", "small"),
            ("canned", ""): self._guarded("canned", "canned"),
        }
        self.key = Key()
        chain = [{"provider": "sim", "model": "large"}, {"provider": "canned"}]
        self.standing = Standing(
            self.models,
            [RouteEntry.model_validate({"name": "chat", "chain": chain})],
            {"sim": self.key},  # type: ignore[dict-item]  # all that is asked of it
            self.clock,
        )

    def _guarded(self, provider: str, model: str) -> Guarded:
        return Guarded(provider, self.endpoints[model], Breaker(clock=self.clock))

    async def ask(self, model: str, times: int = 1, fails: ErrorClass | None = None) -> None:
        self.endpoints[model].fails = fails
        provider = "canned" if model == "canned" else "sim"
        for _ in range(times):
            with contextlib.suppress(ProviderError):
                await self.models[provider, "" if model == "canned" else model].complete(PROMPT)

    def said(self) -> tuple[ProviderNow, RouteNow]:
        return self.standing.of_providers()[0], self.standing.of_routes()[0]


async def test_who_was_not_asked_yet_is_healthy_and_not_recent() -> None:
    world = World()

    assert world.standing.of_providers() == (
        ProviderNow("sim", "Healthy"),
        ProviderNow("canned", "Healthy"),
    )
    assert world.standing.of_routes() == (RouteNow("chat", "sim"),)


async def test_a_provider_is_down_when_every_model_that_was_asked_is_left_alone() -> None:
    world = World()
    await world.ask("large", 5, ErrorClass.OVERLOADED)

    assert world.said() == (
        ProviderNow("sim", "Down", "overloaded", recent=True),
        RouteNow("chat", "canned", recent=True),
    )


async def test_a_provider_of_which_one_model_answers_is_impaired() -> None:
    world = World()
    await world.ask("small")
    await world.ask("large", 5, ErrorClass.TIMEOUT)

    assert world.said()[0] == ProviderNow("sim", "Impaired", "timeout", recent=True)


async def test_a_probe_that_is_on_its_way_changes_nothing() -> None:
    world = World()
    await world.ask("large", 5, ErrorClass.CONNECT)
    world.clock.now += PROBE_AFTER_S
    await world.ask("large", 1, ErrorClass.CONNECT)
    assert world.said()[0].state == "Down"

    world.clock.now += PROBE_AFTER_S
    await world.ask("large")
    assert world.said() == (
        ProviderNow("sim", "Healthy", recent=True),
        RouteNow("chat", "sim", recent=True),
    )


async def test_evidence_grows_old() -> None:
    world = World()
    await world.ask("large", 5, ErrorClass.CONNECT)
    world.clock.now += 31

    assert world.said() == (ProviderNow("sim", "Down", "connect"), RouteNow("chat", "canned"))


async def test_a_provider_without_its_key_is_down_and_not_asked() -> None:
    world = World()
    world.key.was_missing = True

    assert world.said() == (
        ProviderNow("sim", "Down", "key_missing", recent=True),
        RouteNow("chat", "canned"),
    )


async def test_a_route_of_which_nobody_answers_leads_nowhere() -> None:
    world = World()
    for model in ("large", "canned"):
        await world.ask(model, 5, ErrorClass.CONNECT)

    assert world.said()[1] == RouteNow("chat", "", recent=True)


class Sessions:
    def __init__(self) -> None:
        self.found: int | Exception | None = 7

    async def count(self) -> int:
        if isinstance(self.found, Exception):
            raise self.found
        if self.found is None:
            await asyncio.Event().wait()
        return self.found or 0


def reporter(world: World, sessions: Any, admission: Admission | None = None) -> Reporter:
    return Reporter(
        world.standing,
        LoadWindow(clock=world.clock),
        admission or Admission(),
        sessions,
        clock=world.clock,
    )


class Waiting(Admission):
    """Four slots of which two are taken, and somebody who waits since the time 10."""

    in_flight = 2
    waiting = 1

    def oldest_wait_s(self, now: float) -> float:
        return now - 10.0


async def test_the_load_says_what_is_known_and_nothing_else() -> None:
    world = World()
    said = await reporter(world, Sessions()).report()

    assert said.load == Load(
        in_flight=0,
        queue_depth=0,
        oldest_seconds=0.0,
        rate_per_second=0.0,
        tokens_per_second=0.0,
        sessions=7,
        saturation=0.0,
    )
    assert (await reporter(world, None).report()).load.sessions is None


async def test_the_load_says_who_waits_and_how_much_of_the_room_is_taken() -> None:
    world = World()
    world.clock.now = 11.5
    load = (await reporter(world, None, Waiting(limit=4)).report()).load

    assert (load.in_flight, load.queue_depth, load.oldest_seconds) == (2, 1, 1.5)
    assert load.saturation == 0.5


async def test_keys_and_sessions_are_looked_at_every_ten_seconds() -> None:
    world, sessions = World(), Sessions()
    reports = reporter(world, sessions)
    for _ in range(10):
        await reports.report()
        world.clock.now += 0.9
    assert world.key.looks == 1

    world.clock.now += LOOK_EVERY_S
    await reports.report()
    assert world.key.looks == 2


@pytest.mark.parametrize("trouble", [StoreUnavailable("gone"), None], ids=["gone", "hangs"])
async def test_a_store_in_trouble_makes_sessions_unknown_and_delays_no_report(
    trouble: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_runtime.app.reporting.LOOK_S", 0.01)
    world, sessions = World(), Sessions()
    sessions.found = trouble

    assert (await reporter(world, sessions).report()).load.sessions is None
