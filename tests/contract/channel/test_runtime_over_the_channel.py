"""The runtime's own process tells the operator what its breakers find; without one it serves on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agentsystem_operator.api.reasons import ProviderState
from agentsystem_operator.model.heard import Choice
from tests.contract.channel import rig
from tests.contract.channel.rig import Operator, Signer
from tests.contract.runtime import serving, simulated

pytestmark = pytest.mark.usefixtures("_names")
ASK = {"messages": [{"role": "user", "content": "hello"}]}


def config(url: str) -> dict[str, Any]:
    """`sim` first, then `canned`."""
    sim = {"name": "sim", "type": "OpenAI", "openAI": {"baseURL": f"{url}/v1"}}
    chain = [{"provider": "sim", "model": "m"}, {"provider": "canned"}]
    return serving.config(
        providers=[sim, {"name": "canned", "type": "Scripted"}],
        routes=[{"name": "chat", "chain": chain}],
    )


def state_of(operator: Operator, provider: str) -> ProviderState | None:
    if not operator.ear.reports:
        return None
    return operator.ear.reports[-1][2].providers[provider].state


async def _ask(http: aiohttp.ClientSession, url: str) -> int:
    async with http.post(f"{url}/v1/chat/completions", json=ASK) as response:
        await response.read()
        return response.status


async def test_a_provider_that_fails_and_heals_is_told_within_seconds(
    tmp_path: Path, signer: Signer
) -> None:
    async with rig.operator(signer) as operator, simulated.simulating() as there:
        place = rig.place(tmp_path, operator, signer.token())
        async with (
            serving.serving(config(there.url), channel=place) as served,
            aiohttp.ClientSession() as http,
        ):
            assert await _ask(http, served.url) == 200
            await operator.ear.until(lambda: state_of(operator, "sim") is ProviderState.HEALTHY)

            await there.order(rules=[{"match": {}, "fault": {"kind": "status", "status": 503}}])
            asking = asyncio.create_task(_go_on(http, served.url))
            await operator.ear.until(
                lambda: state_of(operator, "sim") is ProviderState.DOWN, within_s=5
            )
            _, load, said = operator.ear.reports[-1]
            assert said.providers["sim"].reason == "overloaded"
            assert said.routes["chat"] == Choice("canned", recent=True)
            assert load.in_flight is not None

            await there.order(rules=[])
            await operator.ear.until(
                lambda: state_of(operator, "sim") is ProviderState.HEALTHY, within_s=6
            )
            asking.cancel()
            load = operator.ear.reports[-1][1]
            assert (load.rate_per_s or 0) > 1
            assert load.p95_s is not None


async def _go_on(http: aiohttp.ClientSession, url: str) -> None:
    while True:
        assert await _ask(http, url) == 200
        await asyncio.sleep(0.1)


async def test_without_an_operator_the_runtime_serves_on(tmp_path: Path, signer: Signer) -> None:
    async with rig.operator(signer) as operator:
        place = rig.place(tmp_path, operator, signer.token())
    async with (
        simulated.simulating() as there,
        serving.serving(config(there.url), channel=place) as served,
        aiohttp.ClientSession() as http,
    ):
        for _ in range(20):
            assert await _ask(http, served.url) == 200
