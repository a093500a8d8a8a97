"""The provider's prompt cache: a real runtime process asks a simulated endpoint that bills it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from agent_runtime.app import receipts
from tests.contract.runtime import serving
from tests.contract.runtime.serving import config
from tests.contract.runtime.simulated import Simulated, simulating

MODEL = "claude-sonnet-4-5"
RULES = "Answer in one sentence, and never say where you have it from. " * 200
MESSAGE = {"role": "assistant", "content": "ok"}
ANSWER = {
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
}
LEAST = 1024
"""Of this model, as Anthropic documents it; the simulator keeps to it."""


def asking(simulated: Simulated, folder: Path, **section: Any) -> dict[str, Any]:
    (folder / "key").write_text("sk-secret")
    endpoint = {
        "baseURL": f"{simulated.url}/v1",
        "timeoutSeconds": 5.0,
        "apiKey": {"file": str(folder / "key")},
        **section,
    }
    return config(
        contract="v1.1",
        agents=[{"name": "front", "route": "chat", "instructions": RULES}],
        routes=[{"name": "chat", "chain": [{"provider": "remote", "model": MODEL}]}],
        providers=[{"name": "remote", "type": "Anthropic", "anthropic": endpoint}],
    )


async def turn(url: str, text: str, *, stream: bool = False) -> dict[str, Any]:
    """Return the usage of a turn of one session, with its cost."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    headers = {"x-session-id": "s1"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response,
    ):
        said = await response.text()
        assert response.status == 200, said
        if stream:
            return next(_usages(said))
        usage: dict[str, Any] = json.loads(said)["usage"]
        return {**usage, "cost_usd": response.headers[receipts.COST]}


def _usages(said: str) -> Iterator[dict[str, Any]]:
    for event in said.split("\n\n")[:-2]:
        if usage := json.loads(event.removeprefix("data: ")).get("usage"):
            yield usage


def figures(usage: dict[str, Any]) -> tuple[int, int]:
    """Return what was read from the cache, and written to it."""
    details = usage["prompt_tokens_details"]
    return details["cached_tokens"], details["cache_write_tokens"]


async def test_the_second_request_is_cheaper_and_a_conversation_is_read_as_it_goes_on(
    tmp_path: Path,
) -> None:
    cache = {"minTokens": LEAST}
    async with simulating(promptCache=cache) as simulated:
        with serving.process(asking(simulated, tmp_path), tmp_path) as runtime:
            first = await turn(runtime.url, "one?")
            second = await turn(runtime.url, "two?")
            third = await turn(runtime.url, "three?", stream=True)
            billed = (await simulated.counts())["billed"]
    assert figures(first) == (0, figures(first)[1])
    instructions = figures(first)[1]
    assert instructions > LEAST
    read, written = figures(second)
    assert read == instructions
    assert written > 0  # the conversation so far, since it goes on
    assert figures(third)[0] == read + written
    costs = [float(usage["cost_usd"]) for usage in (first, second, third)]
    assert costs[1] < costs[0] / 2
    assert costs[2] < costs[0] / 2
    told = [figures(usage) for usage in (first, second, third)]
    assert billed["cacheReadTokens"] == sum(read for read, _ in told)
    assert billed["cacheWriteTokens"] == sum(written for _, written in told)


async def test_it_can_be_turned_off(tmp_path: Path) -> None:
    async with simulating() as simulated:
        document = asking(simulated, tmp_path, promptCaching=False)
        async with serving.serving(document, tmp_path) as served:
            found = [figures(await turn(served.url, "hello?")) for _ in range(3)]
    assert found == [(0, 0)] * 3


async def test_a_cache_that_is_never_read_is_given_up_for_a_while(tmp_path: Path) -> None:
    """The endpoint forgets within a millisecond."""
    async with simulating(promptCache={"ttlSeconds": 0.001}) as simulated:
        document = asking(simulated, tmp_path)
        document["agents"][0]["instructions"] = RULES * 8
        async with serving.serving(document, tmp_path) as served:
            written = [figures(await turn(served.url, "hello?"))[1] for _ in range(8)]
    assert written[0] > 0
    assert written[-1] == 0


async def test_openai_is_sent_what_stays_the_same_first(tmp_path: Path) -> None:
    """Its cache needs no marks, only the same beginning: instructions, history, what is new."""
    async with serving.upstream(serving.answer(200, ANSWER)) as upstream:
        document = serving.openai_config(f"{upstream.url}/v1")
        document["agents"][0]["instructions"] = RULES
        async with serving.serving(document, tmp_path) as served:
            for text in ("one?", "two?", "three?"):
                await turn(served.url, text)
    bodies = [json.dumps(asked["body"]["messages"]) for asked in upstream.requests]
    for earlier, later in itertools.pairwise(bodies):
        assert later.startswith(earlier.removesuffix("]"))
