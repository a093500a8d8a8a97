"""Limits of callers between an entry and its sibling, and how OpenAI's client takes a refusal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from agent_runtime.guard import api_keys
from agent_runtime.guard.principal import Priority, Role
from tests.contract.runtime.serving import Process, config, process
from tests.unit.runtime.credentials import Signer, account_token, key_set, written

HELLO: Any = [{"role": "user", "content": "hello"}]
ACCOUNT = "system:serviceaccount:shop:support--"
LIMIT = 4


class House:
    """An entry and its sibling that limit each key, without a store to share; and their callers."""

    def __init__(self, entry: Process, sibling: Process, keys: dict[str, str]) -> None:
        self.entry, self.sibling, self.keys = entry, sibling, keys

    def client(self, who: str, *, at: Process | None = None, retries: int = 0) -> OpenAI:
        url = f"{(at or self.entry).url}/v1"
        return OpenAI(base_url=url, api_key=self.keys[who], max_retries=retries)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    cluster = Signer("cluster")
    made = {
        who: api_keys.make(who, tenant=tenant, roles=[Role.CHAT], priority=Priority.NORMAL)
        for who, tenant in (("ann", "a"), ("bob", "b"), ("joe", "c"), ("eve", "d"), ("max", "d"))
    }
    file = written(folder / "keys", "\n".join(line for _, line in made.values()))
    token = written(folder / "token", account_token(cluster, "shop:support--front"))
    trusted = written(folder / "cluster.json", key_set(cluster))
    guard = {
        "auth": {"type": "APIKey", "apiKeys": {"file": str(file)}},
        "limits": {
            "perKey": {"requestsPerMinute": LIMIT},
            "perTenant": {"requestsPerDay": LIMIT + 1},
            "perAgent": {"requestsPerMinute": 1000},
        },
    }
    research = config("research", script='default: "hello"', contract="v1.1")
    research["guard"] = {**guard, "siblings": {"account": ACCOUNT, "keys": str(trusted)}}
    with process(research, folder) as sibling:
        front = config("front", script='default: "hello"', contract="v1.1")
        front["siblings"] = [{"name": "research", "url": sibling.url}]
        front["guard"] = {**guard, "siblings": {"account": ACCOUNT, "token": str(token)}}
        with process(front, folder) as entry:
            yield House(entry, sibling, {who: key for who, (key, _) in made.items()})


def left_after(client: OpenAI, model: str, **options: Any) -> str:
    """Ask an agent; returns what the answer says is left."""
    ask = client.chat.completions.with_raw_response.create
    return str(
        ask(model=model, messages=HELLO, **options).headers["x-ratelimit-remaining-requests"]
    )


def test_what_the_entry_passes_on_is_counted_there_and_nowhere_else(house: House) -> None:
    client = house.client("ann")
    asked = [
        left_after(client, "research"),
        left_after(client, "front"),
        left_after(client, "research", stream=True),
        left_after(client, "front", stream=True),
    ]
    assert asked == ["3", "2", "1", "0"]
    with pytest.raises(openai.RateLimitError, match="your key has 4 requests per minute"):
        client.chat.completions.create(model="research", messages=HELLO)
    # who comes to the sibling itself is counted there, from the beginning
    assert left_after(house.client("ann", at=house.sibling), "research") == "3"


def test_whoever_calls_himself_a_sibling_without_proof_is_counted(house: House) -> None:
    headers = {"x-agentsystem-hop": "1", "x-agentsystem-principal": "e30"}
    client = house.client("bob", at=house.sibling)
    asked = [left_after(client, "research", extra_headers=headers) for _ in range(LIMIT)]
    assert asked == ["3", "2", "1", "0"]
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="research", messages=HELLO, extra_headers=headers)


def test_every_way_to_ask_counts_and_a_look_at_the_models_does_not(house: House) -> None:
    headers = {"authorization": f"Bearer {house.keys['joe']}"}
    with httpx.Client(base_url=f"{house.entry.url}/v1", headers=headers) as http:
        asked = [
            http.post("/chat/completions", json={"messages": HELLO}),
            http.post("/responses", json={"input": "hello"}),
            http.post(
                "/embeddings", json={"input": "hello"}
            ),  # an answer that is an error has them
        ]
        assert "x-ratelimit-limit-requests" not in http.get("/models").headers
    assert [each.headers["x-ratelimit-remaining-requests"] for each in asked] == ["3", "2", "1"]
    assert [each.status_code for each in asked[:2]] == [200, 200]


def test_the_official_client_waits_as_long_as_it_is_told_and_not_for_a_new_day(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    eve = house.client("eve", retries=2)
    for _ in range(LIMIT):
        left_after(eve, "front")
    with pytest.raises(openai.RateLimitError) as caught:
        eve.chat.completions.create(model="front", messages=HELLO)
    assert caught.value.code == "rate_limit_exceeded"
    told = float(caught.value.response.headers["retry-after"])
    assert [round(each - told) in (0, 1) for each in waited] == [True, True]
    assert 50 < told <= 60

    waited.clear()
    other = house.client("max", retries=2)  # of the same tenant
    left_after(other, "front")
    with pytest.raises(openai.RateLimitError, match="your tenant has 5 requests per day") as caught:
        other.chat.completions.create(model="front", messages=HELLO)
    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert waited == []
