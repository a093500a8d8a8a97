"""A provider fails in every way that providers fail, under load; with a fallback nobody notices.

Half of the requests are streams. What has begun cannot be answered by somebody else, so a stream
that breaks in the middle ends with an error frame, and the breaker keeps that to a handful.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.contract.runtime import serving, simulated
from tests.contract.runtime.simulated import Simulated

PER_SECOND = 50
SECONDS = 2.0
HEALED_WITHIN_S = 5.0
TIMEOUT_S = 0.5
DEADLINE_S = 2.0
"""One timeout, and a busy machine."""
ASK = {"messages": [{"role": "user", "content": "one two three four five"}]}

OUTAGES: dict[str, dict[str, Any]] = {
    "500": {"kind": "status", "status": 500},
    "429 without Retry-After": {"kind": "status", "status": 429},
    "429 with Retry-After": {"kind": "status", "status": 429, "retryAfterSeconds": 30},
    "quota": {"kind": "quota"},
    "payment required": {"kind": "quota", "status": 402},
    "refused key": {"kind": "status", "status": 401},
    "hang": {"kind": "hang"},
    "slow": {"kind": "latency", "firstSeconds": 20},
    "slow headers": {"kind": "slowHeaders", "perByteSeconds": 0.2},
    "reset": {"kind": "reset"},
    "200 with an error": {"kind": "errorBody"},
    "another content": {"kind": "contentType"},
    "malformed": {"kind": "malformed", "afterChunks": 0},
}
MIDWAY: dict[str, dict[str, Any]] = {
    "reset": {"kind": "reset", "afterChunks": 2},
    "hang": {"kind": "hang", "afterChunks": 2},
    "malformed": {"kind": "malformed", "afterChunks": 2},
    "truncated": {"kind": "truncate", "afterChunks": 2},
    "an error": {"kind": "errorBody", "afterChunks": 2},
}
TYPES = {"OpenAI": "openAI", "Anthropic": "anthropic"}


@dataclass
class Told:
    """How the requests of one outage ended."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0

    @property
    def answered(self) -> int:
        """How many got a whole answer."""
        return self.outcomes["whole"]


def config(there: Simulated, folder: Path, first: str, second: str) -> dict[str, Any]:
    """A chain of two providers that speak different protocols."""
    (folder / "key").write_text("sk-secret")
    endpoint = {
        "baseURL": f"{there.url}/v1",
        "timeoutSeconds": TIMEOUT_S,
        "apiKey": {"file": str(folder / "key")},
    }
    return serving.config(
        contract="v1.1",
        routes=[
            {
                "name": "chat",
                "chain": [
                    {"provider": "first", "model": "failing"},
                    {"provider": "second", "model": "healthy"},
                ],
            }
        ],
        providers=[
            {"name": name, "type": kind, TYPES[kind]: endpoint}
            for name, kind in (("first", first), ("second", second))
        ],
    )


async def load(url: str, seconds: float, *, plain: bool = True) -> Told:
    """Ask at a steady rate, whatever becomes of the requests before; half or all are streams."""
    told = Told()
    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        began = time.monotonic()
        for number in range(int(PER_SECOND * seconds)):
            await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
            group.create_task(_ask(http, url, told, stream=number % 2 == 0 or not plain))
    return told


async def _ask(http: aiohttp.ClientSession, url: str, told: Told, *, stream: bool) -> None:
    began = time.monotonic()
    body = {**ASK, "stream": stream}
    async with http.post(f"{url}/v1/chat/completions", json=body) as response:
        text = await response.text()
    told.slowest_s = max(told.slowest_s, time.monotonic() - began)
    told.outcomes[_outcome(response.status, text, stream=stream)] += 1


def _outcome(status: int, text: str, *, stream: bool) -> str:
    if status != 200:
        return f"HTTP {status}"
    if not stream or text.endswith("data: [DONE]\n\n"):
        return "whole"
    last = text.rstrip().rpartition("\n\n")[2]
    return "error frame" if '"error"' in last else "cut off"


async def outage(
    fault: dict[str, Any], first: str, folder: Path, *, plain: bool = True
) -> tuple[Told, dict[str, Any]]:
    """Return how requests ended while the first provider failed, and what was asked of both."""
    second = "Anthropic" if first == "OpenAI" else "OpenAI"
    rule = {"match": {"model": "failing"}, "fault": fault}
    async with (
        simulated.simulating(rules=[rule]) as there,
        serving.serving(config(there, folder, first, second)) as served,
    ):
        told = await load(served.url, SECONDS, plain=plain)
        return told, await there.counts()


@pytest.mark.parametrize(
    ("name", "first"),
    [
        *((name, "OpenAI") for name in OUTAGES),
        *((name, "Anthropic") for name in ("500", "quota", "hang", "malformed")),
    ],
)
async def test_nobody_notices_an_outage_when_there_is_a_fallback(
    name: str, first: str, tmp_path: Path
) -> None:
    told, counts = await outage(OUTAGES[name], first, tmp_path)
    total = int(PER_SECOND * SECONDS)
    assert told.outcomes == {"whole": total}
    assert told.slowest_s <= DEADLINE_S
    # Each answer was charged exactly once: whatever else was asked was not answered.
    assert counts["completed"] == total
    # The breaker keeps the load off: five failures, and a probe every three seconds.
    assert counts["byModel"]["failing"]["requests"] <= 30


@pytest.mark.parametrize(
    ("name", "first"), [*((name, "OpenAI") for name in MIDWAY), ("reset", "Anthropic")]
)
async def test_a_stream_that_breaks_ends_with_an_error_frame_and_few_do(
    name: str, first: str, tmp_path: Path
) -> None:
    told, counts = await outage(MIDWAY[name], first, tmp_path, plain=False)
    broken = told.outcomes["error frame"]
    assert told.outcomes == {"whole": told.answered, "error frame": broken}
    assert 5 <= broken <= 40
    assert told.slowest_s <= DEADLINE_S
    assert counts["completed"] == told.answered


async def test_a_provider_that_heals_is_in_use_within_five_seconds(tmp_path: Path) -> None:
    rule = {"match": {"model": "failing"}, "fault": OUTAGES["500"], "seconds": 1.0}
    async with (
        simulated.simulating(rules=[rule]) as there,
        serving.serving(config(there, tmp_path, "OpenAI", "Anthropic")) as served,
    ):
        await load(served.url, 1.0 + HEALED_WITHIN_S)
        before = (await there.counts())["byModel"]["failing"]["completed"]
        await load(served.url, 1.0)
        after = (await there.counts())["byModel"]["failing"]["completed"]
    assert after - before == PER_SECOND
