"""Who is let in: keys, tokens and siblings, with the official client, between real processes."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import openai
import pytest
from openai import OpenAI

from agent_runtime.guard import api_keys, roles
from agent_runtime.guard.principal import Priority, Role
from agent_runtime.guard.remote_keys import LOOK_EVERY_SECONDS, RemoteKeys
from tests import ports
from tests.contract.runtime import serving
from tests.contract.runtime.serving import Process, config, process
from tests.unit.runtime.credentials import (
    AUDIENCE,
    ISSUER,
    FakeTime,
    Signer,
    account_token,
    key_set,
    written,
)

SCRIPT = """
default: "I am {agent} in turn {turn}."
"""
HELLO: Any = [{"role": "user", "content": "hello"}]
CLUSTER, PROVIDER = Signer("cluster"), Signer("provider")
ACCOUNT = "system:serviceaccount:shop:support--"


def keys_auth(file: Path) -> dict[str, Any]:
    named = {"file": str(file), "secretName": "callers", "secretKey": "keys"}
    return {"type": "APIKey", "apiKeys": named}


class House:
    """An entry and its sibling, in processes of their own, with the keys of some callers."""

    def __init__(self, entry: Process, sibling: Process, keys: dict[str, str]) -> None:
        self.entry, self.sibling, self.keys = entry, sibling, keys


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    made = {
        "ann": api_keys.make("ann", tenant="acme", roles=[Role.CHAT], priority=Priority.VIP),
        "bob": api_keys.make("bob", tenant="acme", roles=[Role.CHAT], priority=Priority.NORMAL),
        "eve": api_keys.make("eve", tenant=None, roles=[Role.MODELS], priority=Priority.LOW),
    }
    file = written(folder / "keys", "\n".join(line for _, line in made.values()))
    token = written(folder / "token", account_token(CLUSTER, "shop:support--front"))
    cluster = written(folder / "cluster.json", key_set(CLUSTER))
    trusts = {"account": ACCOUNT, "keys": str(cluster)}
    research = config("research", script=SCRIPT, entry="research", contract="v1.1")
    research["guard"] = {"auth": keys_auth(file), "siblings": trusts}
    with process(research, folder) as sibling:
        front = config("front", script=SCRIPT, contract="v1.1")
        front["siblings"] = [{"name": "research", "url": sibling.url}]
        proves = {"account": ACCOUNT, "token": str(token)}
        front["guard"] = {"auth": keys_auth(file), "siblings": proves}
        with process(front, folder) as entry:
            yield House(entry, sibling, {name: key for name, (key, _) in made.items()})


def client(where: Process, key: str) -> OpenAI:
    return OpenAI(base_url=f"{where.url}/v1", api_key=key, max_retries=0)


def said_by(api: OpenAI, model: str, session: str) -> str | None:
    headers = {"X-Session-Id": session}
    found = api.chat.completions.create(model=model, messages=HELLO, extra_headers=headers)
    return found.choices[0].message.content


def test_whoever_has_a_key_is_answered(house: House) -> None:
    with client(house.entry, house.keys["ann"]) as api:
        assert said_by(api, "front", "own") == "I am front in turn 1."
        assert [model.id for model in api.models.list()] == ["front", "research"]


@pytest.mark.parametrize("where", ["entry", "sibling"])
def test_whoever_has_none_is_not(house: House, where: str) -> None:
    with (
        client(getattr(house, where), "as-wrong") as api,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        api.chat.completions.create(model="research", messages=HELLO)
    assert caught.value.code == "invalid_api_key"
    assert caught.value.response.headers["www-authenticate"].startswith("Bearer")
    assert "as-wrong" not in caught.value.response.text
    url = f"{getattr(house, where).url}/v1/models"
    for headers in ({}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer"}):
        found = httpx.get(url, headers=headers)
        assert found.status_code == 401
        assert found.json()["error"]["code"] == "missing_credentials"


def test_a_role_opens_what_the_table_says_and_no_more(house: House) -> None:
    with client(house.entry, house.keys["eve"]) as api:
        assert api.models.retrieve("front").id == "front"
        with pytest.raises(openai.PermissionDeniedError) as caught:
            api.chat.completions.create(model="front", messages=HELLO)
    assert (caught.value.code, caught.value.status_code) == ("role_required", 403)
    assert "Chat" in caught.value.message


def test_the_kubelet_needs_no_key(house: House) -> None:
    for path in sorted(roles.OPEN_TO_ALL):
        assert httpx.get(f"{house.entry.url}{path}").status_code == 200


async def test_every_endpoint_is_opened_by_a_role_or_open_to_all_and_no_row_leads_nowhere() -> None:
    async with serving.serving(config()) as served:
        application = served.parts.api
        served_here = {*application._endpoints, *application._below}
    in_the_table = {endpoint for opened in roles.OPENS.values() for endpoint in opened}
    assert all(roles.OPENS.values())
    assert served_here == in_the_table | {("GET", path) for path in roles.OPEN_TO_ALL}


def test_a_sibling_is_told_who_asks_and_believes_it(house: House) -> None:
    """Sessions are the principal's own, also those at a sibling, also of the same tenant."""
    with (
        client(house.entry, house.keys["ann"]) as ann,
        client(house.entry, house.keys["bob"]) as bob,
    ):
        assert said_by(ann, "research", "shared") == "I am research in turn 1."
        assert said_by(ann, "research", "shared") == "I am research in turn 2."
        assert said_by(bob, "research", "shared") == "I am research in turn 1."
    with client(house.sibling, house.keys["ann"]) as direct:  # asked without the entry
        assert said_by(direct, "research", "shared") == "I am research in turn 3."


def test_whoever_only_says_to_be_a_sibling_is_refused(house: House) -> None:
    evil = Signer("cluster", key=Signer("evil").private)
    proofs = {
        account_token(evil, "shop:support--front"): "sibling_not_proved",
        account_token(CLUSTER, "shop:other--front"): "sibling_not_proved",
        "": "sibling_not_proved",
    }
    said = "eyJpZCI6ImFubiIsInRlbmFudCI6ImFjbWUiLCJyb2xlcyI6WyJDaGF0Il0sInByaW9yaXR5IjoiVklQIn0="
    for proof, code in proofs.items():
        found = httpx.post(
            f"{house.sibling.url}/v1/chat/completions",
            json={"messages": HELLO},
            headers={"x-agentsystem-principal": said, "x-agentsystem-proof": proof},
        )
        assert (found.status_code, found.json()["error"]["code"]) == (401, code)
    found = httpx.post(  # the entry is nobody's sibling: it does not even look
        f"{house.entry.url}/v1/chat/completions",
        json={"messages": HELLO},
        headers={
            "x-agentsystem-principal": said,
            "x-agentsystem-proof": account_token(CLUSTER, "shop:support--research"),
        },
    )
    assert found.json()["error"]["code"] == "missing_credentials"


async def test_a_key_is_good_a_second_after_it_is_written_and_no_longer_than_it_stands_there(
    tmp_path: Path,
) -> None:
    file = tmp_path / "keys"
    document = config(contract="v1.1", guard={"auth": keys_auth(file)})
    key, line = api_keys.make("ann", tenant=None, roles=[Role.CHAT], priority=Priority.NORMAL)
    headers = {"authorization": f"Bearer {key}"}
    async with serving.serving(document) as served, httpx.AsyncClient() as http:

        async def status() -> int:
            return (await http.get(f"{served.url}/v1/models", headers=headers)).status_code

        assert await status() == 503
        for content, wanted in ((line, 200), ("[]", 401), (line, 200)):
            written(file, content)
            async with asyncio.timeout(5):
                while await status() != wanted:  # noqa: ASYNC110  # nobody tells when a second is over
                    await asyncio.sleep(0.05)
        metrics = await served.metrics()
    assert "agent_guard_authenticates 1.0" in metrics
    assert 'agent_guard_refusals_total{reason="authentication_unavailable"} ' in metrics


class Endpoint:
    """A JWKS endpoint that can be told what to say, and counts who asks."""

    def __init__(self) -> None:
        self.body = key_set(PROVIDER)
        self.status = 200
        self.asked = 0

    async def handle(self, _request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        head = f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(self.body)}\r\n"
        writer.write(head.encode() + b"connection: close\r\n\r\n" + self.body)


async def found(keys: RemoteKeys, kid: str) -> bool:
    return await keys.key(kid) is not None


async def test_keys_of_an_endpoint_are_kept_while_it_is_away_and_looked_for_when_unknown() -> None:
    endpoint, clock, newer = Endpoint(), FakeTime(), Signer("newer")
    async with serving.upstream(endpoint.handle) as there, aiohttp.ClientSession() as http:
        keys = RemoteKeys(f"{there.url}/keys", http, clock=clock)
        assert await found(keys, "provider")
        assert not await found(keys, "newer")
        clock.now += LOOK_EVERY_SECONDS
        asked = endpoint.asked
        for _ in range(20):  # a flood of made-up keys is not passed on
            assert not await found(keys, "newer")
        assert endpoint.asked == asked + 1
        for body, status in ((b"away", 500), (b"{}", 200), (b"x" * 300_000, 200)):
            endpoint.body, endpoint.status = body, status
            clock.now += LOOK_EVERY_SECONDS
            assert not await found(keys, "newer")  # looked for in vain
            assert keys.unusable
            assert await found(keys, "provider")  # and nothing was lost
        endpoint.body, endpoint.status = key_set(PROVIDER, newer), 200
        clock.now += LOOK_EVERY_SECONDS
        assert await found(keys, "newer")
        assert not keys.unusable


async def test_tokens_are_verified_with_the_keys_of_the_endpoint_that_is_named() -> None:
    endpoint = Endpoint()
    async with serving.upstream(endpoint.handle) as there, httpx.AsyncClient() as http:
        jwt = {"issuer": ISSUER, "audience": AUDIENCE, "jwksURL": f"{there.url}/keys"}
        guard = {"auth": {"type": "JWT", "jwt": jwt}}
        async with serving.serving(config(contract="v1.1", guard=guard)) as served:
            for signer, wanted in ((PROVIDER, 200), (Signer("newer"), 401)):
                headers = {"authorization": f"Bearer {signer.token()}"}
                answer = await http.get(f"{served.url}/v1/models", headers=headers)
                assert answer.status_code == wanted
            assert "agent_guard_keys_stale 0.0" in await served.metrics()


async def test_without_keys_from_the_endpoint_callers_are_asked_to_come_again() -> None:
    url = f"http://127.0.0.1:{ports.free()}/keys"
    jwt = {"issuer": ISSUER, "audience": AUDIENCE, "jwksURL": url}
    document = config(contract="v1.1", guard={"auth": {"type": "JWT", "jwt": jwt}})
    async with serving.serving(document) as served, httpx.AsyncClient() as http:
        headers = {"authorization": f"Bearer {PROVIDER.token()}"}
        answer = await http.get(f"{served.url}/v1/models", headers=headers)
        assert (await http.get(f"{served.url}/ready")).status_code == 200
    code = answer.json()["error"]["code"]
    assert (answer.status_code, code) == (503, "authentication_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


def test_that_nobody_is_authenticated_is_said_when_the_process_starts(tmp_path: Path) -> None:
    with process(config(), tmp_path) as running:
        found = httpx.get(f"{running.url}/v1/models")
        running.terminate()
        running.process.wait(10)
    assert found.status_code == 200
    lines = [json.loads(line) for line in running.started]
    said = [line for line in lines if line["message"] == "nobody is authenticated"]
    assert [line["level"] for line in said] == ["warning"]
