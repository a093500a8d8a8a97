"""An agent under protection: what the model sees, what is kept, and what the caller gets."""

import json
import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from agent_runtime.agents.agent import Turn
from agent_runtime.agents.private.key import KeyUnusable, SecretKey
from agent_runtime.agents.private.stage import PrivateAgent, Protection
from agent_runtime.guard.pii.conversation import Blocked
from agent_runtime.guard.pii.kinds import Policy
from agent_runtime.memory.base import Retention
from agent_runtime.memory.in_process import MemoryStore
from agent_runtime.memory.sessions import Sessions
from agent_runtime.observability.pii_metrics import PiiMetrics
from agent_runtime.providers.base import (
    Answer,
    Chunk,
    ErrorClass,
    Json,
    Prompt,
    ProviderError,
    Texts,
    Vectors,
)
from tests.pii.rules import detector

MAIL, OTHER, PHONE = "bob@example.com", "eve@example.org", "13800138000"


class Model:
    """Answers with a message, whole or one character a chunk; remembers what it was asked."""

    def __init__(self, text: str = "", call: str | None = None) -> None:
        self.text = text
        self.call = call
        self.asked: list[Prompt] = []
        self.embedded: Texts | None = None

    @property
    def seen(self) -> str:
        """All that this model was told, as JSON."""
        return json.dumps([[p.messages, p.options] for p in self.asked], ensure_ascii=False)

    async def complete(self, prompt: Prompt) -> Answer:
        self.asked.append(prompt)
        message: Json = {"role": "assistant", "content": self.text}
        if self.call is not None:
            function = {"name": "dial", "arguments": self.call}
            message["tool_calls"] = [{"id": "c1", "type": "function", "function": function}]
        return Answer(message, "stop", {"total_tokens": 2})

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        self.asked.append(prompt)
        for character in self.text:
            yield Chunk({"content": character})
        if self.call is not None:
            begun = {"index": 0, "id": "c1", "type": "function", "function": {"name": "dial"}}
            yield Chunk({"tool_calls": [begun]})
            for character in self.call:
                function = {"arguments": character}
                yield Chunk({"tool_calls": [{"index": 0, "function": function}]})
        yield Chunk({}, "stop", {"total_tokens": 2})

    async def embed(self, texts: Texts) -> Vectors:
        self.embedded = texts
        return Vectors([[1.0] for _ in texts.inputs], {"total_tokens": 2})


def protection(
    folder: Path, policy: Policy = Policy.MASK, *, restore: bool = True, secret: str = "s" * 32
) -> Protection:
    (folder / "key").write_text(secret)
    metrics = PiiMetrics(CollectorRegistry())
    key = SecretKey(folder / "key", origin="Secret 'pii', key 'k'", missing=metrics.key_missing)
    return Protection(detector(policy, restore=restore), key, metrics)


def user(text: Any) -> Json:
    return {"role": "user", "content": text}


async def streamed(agent: PrivateAgent, turn: Turn) -> Json:
    """Return what a caller puts together from a stream."""
    found: Json = {"content": "", "arguments": "", "names": "", "finish": []}
    async for chunk in agent.stream(turn):
        found["content"] += chunk.delta.get("content") or ""
        for call in chunk.delta.get("tool_calls") or ():
            found["arguments"] += call["function"].get("arguments") or ""
            found["names"] += call["function"].get("name") or ""
        found["finish"] += [chunk.finish_reason] if chunk.finish_reason else []
    return found


async def test_the_model_sees_placeholders_and_the_caller_originals(tmp_path: Path) -> None:
    model = Model(text="I write to <EMAIL_1> and call <PHONE_1>; not <EMAIL_9>.")
    agent = PrivateAgent("front", "be kind", model, protection(tmp_path))
    asked = [user(f"I am {MAIL}, {PHONE}"), user([{"type": "text", "text": f"again {MAIL}"}])]
    answer = await agent.complete(Turn(asked, {"user": MAIL, "seed": 13800138000}))
    want = f"I write to {MAIL} and call {PHONE}; not <EMAIL_9>."
    assert answer.message["content"] == want
    assert (await streamed(agent, Turn(asked, {})))["content"] == want
    (prompt, _) = model.asked
    assert prompt.messages == [
        {"role": "system", "content": "be kind"},
        user("I am <EMAIL_1>, <PHONE_1>"),
        user([{"type": "text", "text": "again <EMAIL_1>"}]),
    ]
    assert prompt.options == {"user": "<EMAIL_1>", "seed": 13800138000}


async def test_arguments_of_tools_are_redacted_and_restored_as_json(tmp_path: Path) -> None:
    said = orjson.dumps({"to": MAIL, "phone": 13800138000, "note": 'a "quote"'}).decode()
    call = {"id": "c0", "type": "function", "function": {"name": "dial", "arguments": said}}
    asked = [
        user("go"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c0", "content": f"done: {MAIL}"},
    ]
    model = Model(call='{"to": "<EMAIL_1>", "phone": "<PHONE_1>"}')
    agent = PrivateAgent("front", "", model, protection(tmp_path))
    answer = await agent.complete(Turn(asked, {}))
    wanted = {"to": MAIL, "phone": PHONE}
    assert json.loads(answer.message["tool_calls"][0]["function"]["arguments"]) == wanted
    found = await streamed(agent, Turn(asked, {}))
    assert (json.loads(found["arguments"]), found["names"]) == (wanted, "dial")
    assert found["finish"] == ["stop"]
    told = model.asked[0].messages[1]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(told) == {"to": "<EMAIL_1>", "phone": "<PHONE_1>", "note": 'a "quote"'}
    assert MAIL not in model.seen


async def test_a_session_keeps_placeholders_that_later_turns_know_again(tmp_path: Path) -> None:
    """Another process with the same key goes on with the numbers of this one."""
    store = MemoryStore(Retention(60, 50))
    texts = [f"I am {MAIL}", f"cc {OTHER}", f"{OTHER} and {MAIL}, {PHONE}"]
    model = Model(text="noted <EMAIL_1>")
    for text in texts:
        sessions = Sessions(store, "shop", "support")
        agent = PrivateAgent("front", "", model, protection(tmp_path))
        async with sessions.turn("front", "s1") as session:
            await agent.complete(Turn([user(text)], {}, session))
    wanted = ["I am <EMAIL_1>", "cc <EMAIL_2>", "<EMAIL_2> and <EMAIL_1>, <PHONE_1>"]
    assert [m["content"] for m in model.asked[-1].messages if m["role"] == "user"] == wanted
    kept = b"".join(await store.load("-/shop/support/front/s1")).decode()
    assert not any(value in kept for value in (MAIL, OTHER, PHONE))


async def test_later_turns_restore_what_they_hold_themselves(tmp_path: Path) -> None:
    """An original is nowhere once its request has ended: what it was cannot be told any more."""
    sessions = Sessions(MemoryStore(Retention(60, 50)), "shop", "support")
    model = Model(text="you are <EMAIL_1>")
    agent = PrivateAgent("front", "", model, protection(tmp_path))
    said = []
    for text in (f"I am {MAIL}", "who am I?", f"{OTHER}, not {MAIL}"):
        async with sessions.turn("front", "s1") as session:
            said.append((await agent.complete(Turn([user(text)], {}, session))).message["content"])
    assert said == [f"you are {MAIL}", "you are <EMAIL_1>", f"you are {MAIL}"]


async def test_a_session_from_before_the_protection_is_masked_on_its_way(tmp_path: Path) -> None:
    sessions = Sessions(MemoryStore(Retention(60, 50)), "shop", "support")
    async with sessions.turn("front", "s1") as session:
        await session.keep([user(f"I am {MAIL}")], {"role": "assistant", "content": "hi"})
    model = Model(text="x")
    agent = PrivateAgent("front", "", model, protection(tmp_path, Policy.BLOCK, restore=False))
    async with sessions.turn("front", "s1") as session:
        await agent.complete(Turn([user("go on")], {}, session))
    assert model.asked[0].messages[0] == user("I am <EMAIL_1>")


@pytest.mark.parametrize(("restore", "said"), [(True, MAIL), (False, "<EMAIL_1>")])
async def test_what_a_model_says_by_itself_is_kept_masked(
    tmp_path: Path, restore: bool, said: str
) -> None:
    store = MemoryStore(Retention(60, 50))
    sessions = Sessions(store, "shop", "support")
    agent = PrivateAgent(
        "front", "", Model(text=f"write to {MAIL}."), protection(tmp_path, restore=restore)
    )
    async with sessions.turn("front", "s1") as session:
        whole = await agent.complete(Turn([user("hi")], {}, session))
    async with sessions.turn("front", "s2") as session:
        found = await streamed(agent, Turn([user("hi")], {}, session))
    assert whole.message["content"] == found["content"] == f"write to {said}."
    kept = [await store.load(f"-/shop/support/front/{name}") for name in ("s1", "s2")]
    assert MAIL not in repr(kept)
    assert kept[0] == kept[1]


async def test_what_the_instructions_say_is_no_secret(tmp_path: Path) -> None:
    model = Model(text=f"write to {MAIL}")
    agent = PrivateAgent("front", f"Our address: {MAIL}", model, protection(tmp_path))
    answer = await agent.complete(Turn([user(f"is it {MAIL} or {OTHER}?")], {}))
    assert answer.message["content"] == f"write to {MAIL}"
    assert model.asked[0].messages[1] == user(f"is it {MAIL} or <EMAIL_1>?")


async def test_a_number_that_the_caller_wrote_is_never_given_to_an_original(tmp_path: Path) -> None:
    model = Model(text="<EMAIL_1> <EMAIL_2>")
    agent = PrivateAgent("front", "", model, protection(tmp_path))
    answer = await agent.complete(Turn([user(f"{MAIL} is not <EMAIL_1>")], {}))
    assert model.asked[0].messages == [user("<EMAIL_2> is not <EMAIL_1>")]
    assert answer.message["content"] == f"<EMAIL_1> {MAIL}"


async def test_a_blocked_kind_stops_the_request_before_anybody_sees_it(tmp_path: Path) -> None:
    model = Model(text="x")
    agent = PrivateAgent("front", "", model, protection(tmp_path, Policy.BLOCK, restore=False))
    with pytest.raises(Blocked) as refused:
        await agent.complete(Turn([user(f"call {PHONE}")], {}))
    assert (refused.value.kind, str(refused.value.side)) == ("Phone", "request")
    assert PHONE not in str(refused.value)
    assert model.asked == []


@pytest.mark.parametrize("secret", ["", "too short"])
async def test_without_a_key_nobody_is_asked(tmp_path: Path, secret: str) -> None:
    model = Model(text="x")
    agent = PrivateAgent("front", "", model, protection(tmp_path, secret=secret))
    with pytest.raises(KeyUnusable, match="put 16 characters or more in Secret 'pii', key 'k'"):
        await agent.complete(Turn([user("hi")], {}))
    assert model.asked == []


async def test_a_session_s_id_that_is_a_phone_number_is_hashed(tmp_path: Path) -> None:
    agent = PrivateAgent("front", "", Model(), protection(tmp_path))
    assert await agent.session_id("plain-1") == "plain-1"
    hashed = await agent.session_id(PHONE)
    assert hashed.startswith("pii-")
    assert PHONE not in hashed
    assert await agent.session_id(PHONE) == hashed


async def test_one_line_tells_kinds_and_counts_and_a_hash(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = CollectorRegistry()
    kept = protection(tmp_path)
    guard = Protection(kept.detector, kept.key, PiiMetrics(metrics))
    agent = PrivateAgent("front", "", Model(text=f"see {OTHER}"), guard)
    with caplog.at_level(logging.INFO):
        await agent.complete(Turn([user(f"{MAIL} {MAIL} {PHONE}")], {}))
        await agent.complete(Turn([user("nothing")], {}))
    first = caplog.records[0]
    assert first.message == "personal data found"
    assert vars(first)["found"] == {"request": {"Email": 2, "Phone": 1}, "answer": {"Email": 1}}
    assert vars(first)["agent"] == "front"
    assert len(vars(first)["content_hash"]) == 32
    assert len(caplog.records) == 2  # the model's own address was found twice
    exposed = generate_latest(metrics).decode()
    assert 'agent_pii_found_total{kind="Email",policy="Mask",side="request"} 2.0' in exposed
    assert 'agent_pii_found_total{kind="Email",policy="Mask",side="answer"} 2.0' in exposed
    said = exposed + repr([vars(record) for record in caplog.records])
    assert not any(value in said for value in (MAIL, OTHER, PHONE))


async def test_prompts_of_somebody_in_between_are_protected_too(tmp_path: Path) -> None:
    """A stage that shortens a conversation may write a prompt of its own."""
    agent = PrivateAgent("front", "", Model(text=f"see {OTHER}"), protection(tmp_path))
    inner = agent._provider  # what such a stage would wrap
    answer = await inner.complete(Prompt("front", [user("cc <EMAIL_1>")]))
    assert answer.message["content"] == "see <EMAIL_2>"


async def test_what_is_embedded_holds_placeholders(tmp_path: Path) -> None:
    model = Model()
    agent = PrivateAgent("front", "", model, protection(tmp_path))
    found = await agent.embed([f"I am {MAIL}", "nobody"], {"user": MAIL, "dimensions": 8})
    assert found.vectors == [[1.0], [1.0]]
    assert model.embedded == Texts(
        "front", ["I am <EMAIL_1>", "nobody"], {"user": "<EMAIL_1>", "dimensions": 8}
    )


async def test_token_ids_are_not_embedded_unseen(tmp_path: Path) -> None:
    model = Model()
    agent = PrivateAgent("front", "", model, protection(tmp_path))
    with pytest.raises(ProviderError) as caught:
        await agent.embed([[1, 2, 3]], {})
    assert caught.value.error_class is ErrorClass.UNSUPPORTED
    assert model.embedded is None
