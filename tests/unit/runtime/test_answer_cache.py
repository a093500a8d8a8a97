"""The answer cache: what is given again, to whom, and for how long."""

from __future__ import annotations

import asyncio

import pytest

from agent_runtime.app import receipts
from agent_runtime.cache import kept, shared
from agent_runtime.cache.answers import KEPT_TTLS
from agent_runtime.cache.kept import Kept
from agent_runtime.cache.shared import RedisShelf
from agent_runtime.providers.base import Json, Texts
from agent_runtime.providers.receipt import Cache, Receipt
from agent_runtime.stores.base import StoreUnavailable
from tests.unit.runtime.remembered import TOLD, TTL_S, Clock, Model, Pod, Pool, prompt

HIT, MISS, BYPASS = Cache.HIT, Cache.MISS, Cache.BYPASS
TOOLS = [{"type": "function", "function": {"name": "look"}}]
CALLS = [{"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]


async def test_the_same_question_is_answered_by_a_model_once_and_until_its_time_is_over() -> None:
    pod = Pod()
    assert await pod.ask() == ("answer 1", MISS)
    pod.clock.now += TTL_S - 0.001
    assert await pod.ask() == ("answer 1", HIT)
    assert await pod.ask("another") == ("answer 2", MISS)
    pod.clock.now += 0.001
    assert await pod.ask() == ("answer 3", MISS)
    assert await pod.ask() == ("answer 3", HIT)


async def test_an_answer_from_memory_is_whole_and_its_usage_says_that_no_model_read_it() -> None:
    pod = Pod(Model(message={"reasoning_content": "hm"}))
    first = await pod.cached.complete(prompt())
    again = await pod.cached.complete(prompt())
    assert again.message == first.message
    assert (again.finish_reason, again.usage) == ("stop", TOLD)


async def test_streams_and_whole_answers_are_kept_for_each_other() -> None:
    pod = Pod()
    assert await pod.read() == ("answer 1", MISS)
    assert await pod.ask() == ("answer 1", HIT)
    assert await pod.ask("another") == ("answer 2", MISS)
    chunks = [chunk async for chunk in pod.cached.stream(prompt("another"))]
    assert [(c.delta, c.finish_reason, c.usage) for c in chunks] == [
        ({"content": "answer 2"}, None, None),
        ({}, "stop", TOLD),
    ]


@pytest.mark.parametrize("reason", ["length", "content_filter", "tool_calls"])
async def test_only_whole_answers_are_kept(reason: str) -> None:
    pod = Pod(Model(reason=reason))
    assert [await pod.ask(), await pod.ask()] == [("answer 1", MISS), ("answer 2", MISS)]
    assert [await pod.read(), await pod.read()] == [("answer 3", MISS), ("answer 4", MISS)]
    assert len(pod.shelf) == 0


@pytest.mark.parametrize(
    "message", [{"tool_calls": CALLS}, {"content": ""}, {"content": None}, {"refusal": "no"}]
)
async def test_calls_of_tools_refusals_and_answers_without_text_are_not_kept(message: Json) -> None:
    pod = Pod(Model(message=message))
    for _ in range(2):
        asked = prompt()
        await pod.cached.complete(asked)
        assert asked.receipt.cache is MISS
    assert pod.model.asked == 2


async def test_a_stream_that_says_more_than_text_is_not_kept() -> None:
    """Put together it would lack what its whole answer has."""
    pod = Pod(Model(delta={"reasoning_content": "hm"}))
    assert [await pod.read(), await pod.read()] == [("answer 1", MISS), ("answer 2", MISS)]


@pytest.mark.parametrize(
    "asked",
    [
        {"tools": TOOLS},
        {"functions": [{"name": "look"}]},
        {"web_search_options": {}},
        {"messages": [{"role": "assistant", "tool_calls": CALLS}]},
        {"messages": [{"role": "assistant", "function_call": {"name": "look"}}]},
        {"messages": [{"role": "tool", "tool_call_id": "1", "content": "found"}]},
    ],
)
async def test_what_has_to_do_with_tools_is_neither_looked_up_nor_kept(asked: Json) -> None:
    pod = Pod()
    assert await pod.ask(**asked) == ("answer 1", BYPASS)
    assert await pod.ask(**asked) == ("answer 2", BYPASS)
    assert pod.metric("agent_cache_bypasses_total", agent="front") == 2


@pytest.mark.parametrize("none", [{"tools": []}, {"tools": None}, {"functions": []}])
async def test_no_tools_are_no_reason_to_ask_again(none: Json) -> None:
    pod = Pod()
    assert [(await pod.ask(**none))[1] for _ in range(2)] == [MISS, HIT]


async def test_a_caller_may_want_a_fresh_answer_and_may_want_it_kept_from_others() -> None:
    pod = Pod()
    await pod.ask()

    def wants(directives: str) -> Receipt:
        return receipts.of(session=None, wants=directives)

    assert await pod.ask(receipt=wants("no-store")) == ("answer 2", BYPASS)
    assert await pod.ask() == ("answer 1", HIT)
    assert await pod.ask(receipt=wants("max-age=0, No-Cache")) == ("answer 3", MISS)
    assert await pod.ask() == ("answer 3", HIT)  # the fresh one took its place


async def test_an_answer_that_is_for_its_caller_alone_is_not_kept() -> None:
    pod = Pod()
    for count in (1, 2):
        asked = prompt()
        asked.receipt.may_share = False
        assert (await pod.cached.complete(asked)).message["content"] == f"answer {count}"


async def test_what_is_used_least_recently_goes_first() -> None:
    pod = Pod(max_entries=2)
    for text in ("a", "b", "a", "c"):
        await pod.ask(text)
    assert [(await pod.ask(text))[1] for text in ("a", "c", "b")] == [HIT, HIT, MISS]
    assert pod.metric("agent_cache_evictions_total") == 2


async def test_entries_are_bounded_by_their_bytes_and_the_count_of_these_is_right() -> None:
    room = kept.OVERHEAD_BYTES * 3
    pod = Pod(max_bytes=room)
    for number in range(10):
        await pod.ask(str(number))
        assert pod.shelf.bytes <= room
    assert len(pod.shelf) == 2
    for key in list(pod.shelf._entries):
        pod.shelf.drop(key)
    assert pod.shelf.bytes == 0


async def test_an_answer_that_is_too_large_is_given_and_not_kept() -> None:
    pod = Pod(Model(message={"content": "x" * kept.MAX_ANSWER_BYTES}))
    await pod.ask()
    assert len(pod.shelf) == 0


async def test_vectors_are_not_kept() -> None:
    pod = Pod()
    for _ in range(2):
        await pod.cached.embed(Texts("front", ["a"]))
    assert pod.model.asked == 2


async def test_pods_share_their_answers_and_not_for_longer() -> None:
    pool, clock = Pool(), Clock()
    first, second = (Pod(shared=pool, clock=clock) for _ in range(2))
    await first.ask()
    clock.now += TTL_S / 2
    assert await second.ask() == ("answer 1", Cache.SHARED)
    assert await second.ask() == ("answer 1", HIT)
    clock.now += TTL_S / 2
    assert await second.read() == ("answer 1", MISS)
    assert second.model.asked == 1
    assert [seconds for _, seconds in pool.values.values()] == [TTL_S]


async def test_of_another_revision_nothing_is_given() -> None:
    pool = Pool()
    await Pod(shared=pool).ask()
    assert (await Pod(shared=pool, revision="r2").ask())[1] is MISS
    assert len(pool.values) == 2


async def test_without_what_pods_share_each_knows_its_own() -> None:
    pod = Pod(shared=Pool(away=True))
    assert [await pod.ask(), await pod.ask()] == [("answer 1", MISS), ("answer 1", HIT)]
    assert pod.metric("agent_cache_unavailable_total") == 2  # looked up, and kept


async def test_a_value_that_is_none_or_of_another_question_is_a_miss() -> None:
    pool = Pool()
    await Pod(shared=pool).ask("theirs")
    await Pod(shared=pool).ask("mine")
    theirs, mine = pool.values
    for wrong in (b"", b"junk", pool.values[theirs][0], pool.values[mine][0][:-5]):
        pool.values[mine] = (wrong, TTL_S)
        assert (await Pod(shared=pool).ask("mine"))[1] is MISS


class Redis:
    """Replies after so many passes of the event loop."""

    def __init__(self, passes: int) -> None:
        self.passes = passes
        self.given_up = False

    async def command(self, *_words: object) -> bytes:
        try:
            for _ in range(self.passes):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.given_up = True
            raise
        return b"reply"


async def test_a_reply_that_has_come_is_taken_even_if_a_busy_loop_sees_it_late() -> None:
    redis = Redis(passes=3)
    assert await RedisShelf(redis, "-/a/b", within_s=0.0).get(b"k") == b"reply"


async def test_a_reply_that_does_not_come_is_waited_for_no_longer() -> None:
    redis = Redis(passes=1_000_000)
    with pytest.raises(StoreUnavailable):
        await RedisShelf(redis, "-/a/b", within_s=0.0).get(b"k")
    await asyncio.sleep(0)
    assert redis.given_up


def test_a_value_is_read_as_it_was_written() -> None:
    one = Kept(1_800_000_000.125, b'[{"content":"a b"},{}]')
    assert shared.unpacked(b"k" * 32, shared.packed(b"k" * 32, one)) == one


async def test_with_the_budget_spent_an_old_answer_is_better_than_none() -> None:
    spent = False
    pool, clock = Pool(), Clock()
    pods = [Pod(shared=pool, clock=clock, may_serve_stale=lambda: spent) for _ in range(2)]
    await pods[0].ask()
    clock.now += TTL_S
    spent = True
    assert await pods[0].ask() == ("answer 1", Cache.STALE)
    assert await pods[1].read() == ("answer 1", Cache.STALE)  # from what they share
    assert await pods[0].ask("new") == ("answer 2", MISS)
    spent = False
    assert await pods[0].ask() == ("answer 3", MISS)
    spent = True
    clock.now += TTL_S * KEPT_TTLS
    assert await pods[0].ask() == ("answer 4", MISS)  # too old for anybody
    assert {seconds for _, seconds in pool.values.values()} == {TTL_S * KEPT_TTLS}


async def test_where_old_answers_are_never_given_they_are_not_held() -> None:
    pod = Pod()
    await pod.ask()
    pod.clock.now += TTL_S
    asked = prompt()
    key = pod.answers.key(asked)
    assert key is not None
    assert pod.answers.here(key) is None
    assert len(pod.shelf) == 0


@pytest.mark.parametrize("outcome", Cache)
def test_everything_that_the_cache_can_do_is_counted_in_one_place(outcome: Cache) -> None:
    pod = Pod()
    pod.answers.count(prompt(), outcome)
    levels = ("process", "redis", "stale", "flight")
    hits = [pod.metric("agent_cache_hits_total", agent="front", level=each) for each in levels]
    others = [
        pod.metric(f"agent_cache_{name}_total", agent="front") for name in ("misses", "bypasses")
    ]
    assert sum(hits) + sum(others) == 1
    assert (sum(hits) == 1) is outcome.is_hit


async def test_metrics_tell_the_hit_rate_by_where_an_answer_was_found() -> None:
    pool = Pool()
    await Pod(shared=pool).ask()
    pod = Pod(shared=pool)
    pod.metrics.cache.measures(lambda: len(pod.shelf), lambda: pod.shelf.bytes)
    for text in ("hello", "hello", "hello", "new"):
        await pod.ask(text)
    hits = "agent_cache_hits_total"
    assert pod.metric(hits, agent="front", level="redis") == 1
    assert pod.metric(hits, agent="front", level="process") == 2
    assert pod.metric("agent_cache_misses_total", agent="front") == 1
    assert pod.metric("agent_cache_entries") == 2
    assert pod.metric("agent_cache_bytes") == pod.shelf.bytes > 0
