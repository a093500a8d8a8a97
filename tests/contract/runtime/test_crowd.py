"""Three times more requests than a process can answer: who is served, who is refused, how fast."""

import asyncio
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_runtime.app.asgi import SECURITY
from agent_runtime.guard import api_keys
from agent_runtime.guard.principal import Priority, Role
from bench import overload
from tests.contract.runtime import serving
from tests.contract.runtime.serving import config, process
from tests.unit.runtime.credentials import written

HELLO: Any = {"messages": [{"role": "user", "content": "hello"}]}


def test_in_a_crowd_vips_are_served_and_others_are_refused_quickly(tmp_path: Path) -> None:
    """A few seconds of the benchmark; the figures for a quiet machine are in docs/security.md."""
    keys, document = overload.guarded(tmp_path, slots=5, service_s=0.25)
    with process(document, tmp_path) as running:
        found = asyncio.run(overload.drive(running.url, keys, per_second=60, seconds=5))
        assert asyncio.run(overload.drive(running.url, keys, per_second=5, seconds=1)).calm
    count = Counter(answer.kind for answer in found.answers)
    assert count["vip 429"] == 0
    assert count["vip 200"] >= 10
    assert count["other 429"] >= 50
    assert set(count) <= {"vip 200", "other 200", "other 429"}
    refused = [answer.seconds for answer in found.answers if answer.kind == "other 429"]
    assert statistics.median(refused) < 0.25  # sooner than an answer takes


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/nowhere", "/v1/chat/completions"])
async def test_every_answer_has_the_security_headers(path: str) -> None:
    async with serving.serving(config()) as served, httpx.AsyncClient() as http:
        found = [await http.get(served.url + path)]
        if path.endswith("completions"):
            bodies = (HELLO, HELLO | {"stream": True})
            found += [await http.post(served.url + path, json=body) for body in bodies]
        for answer in found:
            for name, value in SECURITY:
                assert answer.headers[name.decode()] == value.decode()


async def test_a_refused_head_has_them_too() -> None:
    async with serving.serving(config()) as served, httpx.AsyncClient() as http:
        found = await http.get(served.url, headers={"x": "y" * 40_000})
    assert found.status_code == 431
    assert found.headers["x-content-type-options"] == "nosniff"


async def test_when_it_is_full_the_client_is_told_when_to_come_again(tmp_path: Path) -> None:
    key, line = api_keys.make("ann", tenant="a", roles=[Role.CHAT], priority=Priority.NORMAL)
    file = written(tmp_path / "keys", line)
    auth = {"type": "APIKey", "apiKeys": {"file": str(file)}}
    guard = {"auth": auth, "limits": {"concurrentRequests": 1}}
    script = "default: hi\nlatency: {firstTokenSeconds: 0.5}"
    document = config(script=script, contract="v1.1", guard=guard)
    headers = {"authorization": f"Bearer {key}"}
    async with serving.serving(document) as served, httpx.AsyncClient(timeout=30) as http:
        url = f"{served.url}/v1/chat/completions"
        asked = [http.post(url, json=HELLO, headers=headers) for _ in range(12)]
        found = await asyncio.gather(*asked)
        metrics = await served.metrics()
    refused = [answer for answer in found if answer.status_code == 429]
    assert {answer.status_code for answer in found} == {200, 429}
    assert refused[0].json()["error"]["code"] == "overloaded"
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert "agent_queue_depth 0.0" in metrics
    assert 'agent_requests_total{agent="-",status="429"}' in metrics
