"""Azure OpenAI's way, and extra headers, over real sockets against the simulator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from agent_runtime.simulator.counts import fingerprint
from tests.contract.runtime import serving, simulated
from tests.contract.runtime.serving import answer, openai_config, upstream

AZURE = {"azure": {"apiVersion": "2024-10-21"}}
REFUSED = {"kind": "status", "status": 401}
ASKED: Any = {"model": "front", "messages": [{"role": "user", "content": "hello"}]}


@asynccontextmanager
async def client(document: dict[str, Any]) -> AsyncIterator[AsyncOpenAI]:
    async with (
        serving.serving(document | {"contract": "v1.1"}) as served,
        AsyncOpenAI(base_url=f"{served.url}/v1", api_key="unused", max_retries=0) as api,
    ):
        yield api


async def test_a_deployment_chats_streams_and_embeds_with_azure_s_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sesame")
    key = {"apiKey": {"file": str(tmp_path / "key")}}
    async with (
        simulated.simulating(answers={"default": "hello"}) as sim,
        client(openai_config(f"{sim.url}/", **AZURE, **key)) as api,
    ):
        plain = await api.chat.completions.create(**ASKED)
        stream = await api.chat.completions.create(**ASKED, stream=True)
        pieces = [piece async for piece in stream]
        vectors = await api.embeddings.create(model="front", input="hello", dimensions=4)
        counts = await sim.counts()
    assert plain.choices[0].message.content == "hello"
    assert pieces[-1].choices[0].finish_reason == "stop"
    assert len(vectors.data[0].embedding) == 4
    assert {path: tally["completed"] for path, tally in counts["byPath"].items()} == {
        "/openai/deployments/m/chat/completions": 2,
        "/openai/deployments/m/embeddings": 1,
    }
    assert list(counts["byKey"]) == [fingerprint("sesame")]


async def test_a_deployment_s_name_is_one_step_of_the_path_and_the_version_is_told() -> None:
    said = {"choices": [{"message": {"content": "hi"}}]}
    async with upstream(answer(200, said)) as there:
        document = openai_config(f"{there.url}/gate", **AZURE)
        document["routes"][0]["chain"][0]["model"] = "team/gpt 4?x=1"
        async with client(document) as api:
            await api.chat.completions.create(**ASKED)
    (request,) = there.requests
    assert request["path"] == (
        "/gate/openai/deployments/team%2Fgpt%204%3Fx=1/chat/completions?api-version=2024-10-21"
    )
    assert {"authorization", "api-key"}.isdisjoint(request["headers"])


@pytest.mark.parametrize(
    ("kind", "section", "path"), [("OpenAI", "openAI", "/v1"), ("Anthropic", "anthropic", "/v1")]
)
async def test_headers_go_along_with_every_request(
    kind: str, section: str, path: str, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("sesame")
    rules = [
        {
            "match": {"headers": {"x-team": "red*"}},
            "fault": {"kind": "latency", "firstSeconds": 0.01},
        },
        {"fault": REFUSED},
    ]
    async with simulated.simulating(rules=rules) as sim:
        settings = {"baseURL": sim.url + path, "apiKey": {"file": str(tmp_path / "key")}}
        for headers in ({"x-team": "red 1"}, {}):
            document = openai_config("http://unused") | {
                "providers": [
                    {"name": "remote", "type": kind, section: {**settings, "headers": headers}}
                ]
            }
            async with client(document) as api:
                if headers:
                    await api.chat.completions.create(**ASKED)
                    stream = await api.chat.completions.create(**ASKED, stream=True)
                    assert [piece async for piece in stream]
                else:
                    with pytest.raises(openai.InternalServerError) as caught:
                        await api.chat.completions.create(**ASKED)
                    assert caught.value.code == "provider_key_refused"


async def test_what_anthropic_cannot_do_another_provider_may() -> None:
    async with simulated.simulating() as sim:
        chain = [{"provider": "claude", "model": "c"}, {"provider": "remote", "model": "m"}]
        claude = {"name": "claude", "type": "Anthropic", "anthropic": {"baseURL": f"{sim.url}/v1"}}
        document = openai_config(f"{sim.url}/v1")
        document["providers"].append(claude)
        document["routes"][0]["chain"] = chain
        async with client(document) as api:
            await api.chat.completions.create(**ASKED, seed=1)
            counts = await sim.counts()
        document["routes"][0]["chain"] = chain[:1]
        async with client(document) as api:
            with pytest.raises(openai.BadRequestError) as caught:
                await api.chat.completions.create(**ASKED, seed=1)
    assert list(counts["byModel"]) == ["m"]
    assert (caught.value.param, caught.value.code) == ("seed", "unsupported_parameter")
    assert "provider 'claude' does not take the parameter 'seed'" in caught.value.message
