"""Orders, limits and counts of the simulator, from outside."""

import asyncio
import hashlib
from typing import Any

import pytest

from tests.contract.runtime.simulated import CHAT, MESSAGES, Simulated, ask, simulating

DOWN = {"fault": {"kind": "status", "status": 500}}


async def statuses(simulator: Simulated, times: int, **headers: str) -> list[int]:
    return [(await simulator.post(CHAT, ask(), **headers))[0].status for _ in range(times)]


async def control(simulator: Simulated, method: str, path: str = "/control") -> tuple[int, Any]:
    url = simulator.control_url + path
    async with simulator.http.request(method, url) as response:
        return response.status, await response.json()


async def test_rules_are_ordered_shown_and_withdrawn() -> None:
    rule = {"match": {"every": 2}, **DOWN, "count": 2}
    async with simulating() as simulator:
        ordered = await simulator.order(rules=[rule])
        found = await statuses(simulator, 6)
        _, shown = await control(simulator, "GET")
        await simulator.order(rules=[DOWN])
        struck = await statuses(simulator, 1)
        _, withdrawn = await control(simulator, "DELETE")
        free = await statuses(simulator, 1)
    assert ordered == {
        "control": {"rules": [rule]},
        "rules": [{"matched": 0, "struck": 0, "healed": False}],
    }
    assert found == [200, 500, 200, 500, 200, 200]
    assert shown["rules"] == [{"matched": 4, "struck": 2, "healed": True}]
    assert (struck, withdrawn, free) == ([500], {"control": {}, "rules": []}, [200])


async def test_a_rule_heals_by_itself_after_its_time() -> None:
    async with simulating() as simulator:
        await simulator.order(rules=[{**DOWN, "seconds": 2.0}])
        assert await statuses(simulator, 1) == [500]
        await asyncio.sleep(2.1)
        assert await statuses(simulator, 1) == [200]


async def test_a_wrong_order_names_each_field_and_changes_nothing() -> None:
    wrong = {"rules": [{"fault": {"kind": "explode"}}], "limit": 1}
    async with simulating() as simulator:
        await simulator.order(rules=[DOWN])
        url = f"{simulator.control_url}/control"
        async with simulator.http.put(url, json=wrong) as response:
            status, answer = response.status, await response.json()
        _, shown = await control(simulator, "GET")
        still = await statuses(simulator, 1)
    assert status == 400
    problems = answer["error"]["problems"]
    assert [problem["field"] for problem in problems] == ["limit", "rules[0].fault.kind"]
    assert all(problem["what"] and problem["fix"] for problem in problems)
    assert (shown["control"], still) == ({"rules": [DOWN]}, [500])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/control", 405), ("PUT", "/control/counts", 405), ("GET", "/", 404),
     ("GET", "/health", 200)],
)  # fmt: skip
async def test_the_control_endpoint_has_three_paths(method: str, path: str, status: int) -> None:
    async with simulating() as simulator:
        assert (await control(simulator, method, path))[0] == status


async def test_orders_are_not_taken_at_the_providers_port() -> None:
    async with simulating() as simulator:
        async with simulator.http.put(f"{simulator.url}/control", json={}) as response:
            assert response.status == 404
        async with simulator.http.get(f"{simulator.url}/health") as response:
            assert response.status == 200


async def test_requests_above_the_limit_are_refused_and_told_when_to_come_back() -> None:
    async with simulating(limits={"requestsPerMinute": 2, "tokensPerMinute": 1000}) as simulator:
        key = {"authorization": "Bearer one"}
        first, _ = await simulator.post(CHAT, ask(), **key)
        found = await statuses(simulator, 2, **key)
        refused, body = await simulator.post(CHAT, ask(), **key)
        other = await statuses(simulator, 1, authorization="Bearer two")
        counts = await simulator.counts()
    assert (first.status, found, refused.status, other) == (200, [200, 429], 429, [200])
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-reset-requests"] == "30s"
    assert first.headers["x-ratelimit-limit-tokens"] == "1000"
    assert int(first.headers["x-ratelimit-remaining-tokens"]) < 1000
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert (body["error"]["type"], body["error"]["code"]) == ("requests", "rate_limit_exceeded")
    assert (counts["byFault"], counts["completed"]) == ({"rateLimit": 2}, 3)


async def test_a_limit_of_tokens_lets_pass_again_after_retry_after() -> None:
    async with simulating(
        answers={"default": "one two"}, limits={"tokensPerMinute": 360}
    ) as simulator:
        usage = (await simulator.post(CHAT, ask()))[1]["usage"]["total_tokens"]
        assert usage == 6  # 6 a second come back
        found = await statuses(simulator, 70)
        refused, _ = await simulator.post(CHAT, ask())
        await asyncio.sleep(float(refused.headers["retry-after"]))
        again = await statuses(simulator, 1)
    assert (found[0], found[-1], refused.headers["retry-after"], again) == (200, 429, "1", [200])


async def test_each_answer_is_billed_once_to_its_key_model_and_path() -> None:
    async with simulating(answers={"default": "one two"}) as simulator:
        await statuses(simulator, 3, authorization="Bearer one")
        await statuses(simulator, 1, authorization="Bearer one", **{"x-simulate": "quota"})
        await simulator.post("/v1/embeddings", {"model": "e", "input": "a b c"})
        counts = await simulator.counts()
        _, reset = await control(simulator, "DELETE", "/control/counts")
    one = hashlib.sha256(b"one").hexdigest()[:12]
    assert {name: each["completed"] for name, each in counts["byKey"].items()} == {one: 3, "-": 1}
    assert {name: each["requests"] for name, each in counts["byModel"].items()} == {"m": 4, "e": 1}
    assert counts["byPath"][CHAT]["billed"] == {
        "inputTokens": 12, "outputTokens": 6, "cacheWriteTokens": 0, "cacheReadTokens": 0,
    }  # fmt: skip
    assert counts["billed"]["inputTokens"] == 15
    assert (counts["requests"], counts["completed"], counts["inFlight"]) == (5, 4, 0)
    assert (counts["byFault"], counts["byStatus"]) == ({"quota": 1}, {"200": 4, "429": 1})
    assert (reset["requests"], reset["byKey"]) == (0, {})


async def test_only_those_who_match_are_struck() -> None:
    rules = [{"match": {"path": MESSAGES}, **DOWN}, {"match": {"model": "other*"}, **DOWN}]
    async with simulating(rules=rules) as simulator:
        found = await statuses(simulator, 1)
        other, _ = await simulator.post(CHAT, ask() | {"model": "other-1"})
    assert (found, other.status) == ([200], 500)
