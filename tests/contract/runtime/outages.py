"""Ways in which model providers fail, as orders for the simulator; requests at a steady pace."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.contract.runtime import serving
from tests.contract.runtime.charges import PRICE

FAILS_AFTER_S = 0.5
"""What the runtime allows the provider that fails."""
ANSWERS_WITHIN_S = 10.0
"""What it allows the healthy one: a busy machine is no outage."""
ASK = {"messages": [{"role": "user", "content": "one two three four five"}]}
TYPES = {"OpenAI": "openAI", "Anthropic": "anthropic"}

WHOLE: dict[str, dict[str, Any]] = {
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
BUDGET: dict[str, Any] = {
    "amount": "999",
    "prices": [
        {"provider": "first", "model": "failing", **PRICE},
        {"provider": "second", "model": "healthy", **PRICE},
    ],
}
"""More than an outage can cost; so a ledger has each charge."""


@dataclass
class Told:
    """How the requests of one outage ended."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0

    @property
    def answered(self) -> int:
        """How many got a whole answer."""
        return self.outcomes["whole"]


def config(url: str, folder: Path, first: str, second: str) -> dict[str, Any]:
    """A chain of two providers that speak different protocols; the first one fails."""
    (folder / "key").write_text("sk-secret")
    endpoint = {"baseURL": f"{url}/v1", "apiKey": {"file": str(folder / "key")}}
    chain = [
        {"provider": "first", "model": "failing"},
        {"provider": "second", "model": "healthy"},
    ]
    providers = [
        {"name": name, "type": kind, TYPES[kind]: {**endpoint, "timeoutSeconds": timeout_s}}
        for name, kind, timeout_s in (
            ("first", first, FAILS_AFTER_S),
            ("second", second, ANSWERS_WITHIN_S),
        )
    ]
    routes = [{"name": "chat", "chain": chain}]
    return serving.config(contract="v1.1", routes=routes, providers=providers)


def rule(fault: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The simulator's order that the first provider fails in this way."""
    return {"match": {"model": "failing"}, "fault": fault, **more}


async def load(url: str, seconds: float, *, per_second: int, plain: bool = True) -> Told:
    """Ask at a steady rate, whatever becomes of the requests before; half or all are streams."""
    told = Told()
    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        began = time.monotonic()
        for number in range(int(per_second * seconds)):
            await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
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
