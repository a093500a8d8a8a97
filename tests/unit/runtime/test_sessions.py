"""One turn of a session at a time; sessions never meet."""

import asyncio
import dataclasses

import pytest

from agent_runtime.guard.principal import ANONYMOUS, Principal, Priority, Role
from agent_runtime.memory.base import MAX_SESSION_BYTES, Retention, newest
from agent_runtime.memory.in_process import MemoryStore
from agent_runtime.memory.sessions import SESSION_ID, SessionBusy, Sessions, session_key

USER = {"role": "user", "content": "How much is 2 + 2?"}


def sessions(*, wait_s: float = 30.0) -> Sessions:
    return Sessions(MemoryStore(Retention(60, 50)), "shop", "support", wait_s=wait_s)


async def test_concurrent_turns_of_one_session_wait_for_each_other() -> None:
    opened, order = sessions(), []
    first_may_end = asyncio.Event()

    async def turn(name: str, may_end: asyncio.Event | None = None) -> None:
        async with opened.turn("front", "s1"):
            order.append(f"{name} begins")
            if may_end:
                await may_end.wait()
            order.append(f"{name} ends")

    async with asyncio.TaskGroup() as group:
        group.create_task(turn("first", first_may_end))
        group.create_task(turn("second"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first_may_end.set()
    assert order == ["first begins", "first ends", "second begins", "second ends"]


async def test_a_turn_that_waits_too_long_is_told_so() -> None:
    opened = sessions(wait_s=0.001)
    async with opened.turn("front", "s1"):
        with pytest.raises(SessionBusy):
            async with opened.turn("front", "s1"):
                pytest.fail("two turns at once")
    async with opened.turn("front", "s1"):
        pass  # free again


async def test_other_sessions_and_other_agents_do_not_wait() -> None:
    opened = sessions(wait_s=0.001)
    async with (
        opened.turn("front", "s1"),
        opened.turn("front", "s2"),
        opened.turn("research", "s1"),
    ):
        pass


async def test_no_lock_is_kept_when_nobody_uses_it() -> None:
    opened = sessions(wait_s=0.001)
    async with opened.turn("front", "s1"):
        with pytest.raises(SessionBusy):
            async with opened.turn("front", "s1"):
                pytest.fail("two turns at once")
    assert not opened._turns  # the bound on memory is the point of this test


async def test_sessions_are_scoped_by_agent() -> None:
    opened = sessions()
    asked, answered = {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}
    async with opened.turn("front", "s1") as session:
        await session.keep([asked], answered)
    async with opened.turn("research", "s1") as other:
        assert await other.history() == []
    async with opened.turn("front", "s1") as again:
        assert await again.history() == [asked, answered]


def test_a_key_begins_with_cluster_namespace_and_system() -> None:
    assert session_key("shop", "support", "front", "s1") == "-/shop/support/front/s1"


def test_a_known_owner_has_sessions_of_its_own() -> None:
    ann = Principal("ann/1", "acme", frozenset({Role.CHAT}), Priority.NORMAL)
    owners = [
        ANONYMOUS,
        ann,
        dataclasses.replace(ann, tenant="other"),
        dataclasses.replace(ann, id="bob"),
        dataclasses.replace(ann, tenant=""),
        dataclasses.replace(ann, tenant="acme/ann", id="1"),
    ]
    keys = [session_key("shop", "support", "front", "s1", owner) for owner in owners]
    assert keys[1] == "-/shop/support/front/acme/ann%2F1/s1"
    assert len(set(keys)) == len(owners)
    vip = dataclasses.replace(ann, priority=Priority.VIP, roles=frozenset())
    assert session_key("shop", "support", "front", "s1", vip) == keys[1]  # of the same person


@pytest.mark.parametrize("text", ["", "a/b", "a b", "é", "a\n", "x" * 129, "../x", "a%2f"])
def test_an_id_that_could_leave_its_scope_is_refused(text: str) -> None:
    assert not SESSION_ID.fullmatch(text)


@pytest.mark.parametrize("text", ["a", "A-Z_0.9~:x", "x" * 128])
def test_ordinary_ids_are_accepted(text: str) -> None:
    assert SESSION_ID.fullmatch(text)


def test_what_a_session_keeps_is_bounded_but_never_nothing() -> None:
    half, huge = b"x" * (MAX_SESSION_BYTES // 2), b"x" * (MAX_SESSION_BYTES * 2)
    assert newest([b"1", b"2", b"3"], max_turns=2) == [b"2", b"3"]
    assert newest([half, half, half], max_turns=9) == [half, half]
    assert newest([b"1", huge], max_turns=9) == [huge]
    assert newest([], max_turns=9) == []


async def test_a_history_never_begins_with_the_result_of_a_forgotten_tool_call() -> None:
    opened = Sessions(MemoryStore(Retention(60, max_turns=1)), "shop", "support")
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "c1", "content": "4"}
    said = {"role": "assistant", "content": "It is 4."}
    async with opened.turn("front", "s1") as session:
        await session.keep([USER], {"role": "assistant", "content": None, "tool_calls": [call]})
        assert [message["role"] for message in await session.history()] == ["user", "assistant"]
        await session.keep([result, result], said)
        assert await session.history() == [said]  # or the model would refuse every later turn
