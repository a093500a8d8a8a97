"""The simulator's tokens, limits, prompt cache and counts."""

from typing import Any

import pytest

from agent_runtime.simulator import token_count
from agent_runtime.simulator.counts import Counts, fingerprint
from agent_runtime.simulator.exchange import Usage
from agent_runtime.simulator.faults import Limits, PromptCache
from agent_runtime.simulator.limiter import Level, Limiter
from agent_runtime.simulator.prompt_cache import Block, Prefixes, Use


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("Hello wonderful world", ["Hello", " wonder", "ful", " world"]),
        ("你好 world", ["你", "好", " world"]),
        ("a  b\n", ["a", "  b", "\n"]),
    ],
)
def test_words_become_tokens_of_six_characters(text: str, tokens: list[str]) -> None:
    assert token_count.split(text) == tokens
    assert token_count.of_text(text) == len(tokens)


def test_a_conversation_counts_its_texts_images_tools_and_roles() -> None:
    parts = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {}}]
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": None, "tool_calls": [1, 2]},
    ]
    assert token_count.of_messages(messages) == (3 + 2) + (3 + 3 + 85) + (3 + 1)


def limiter(requests: int | None = None, tokens: int | None = None) -> Limiter:
    wanted = {"requestsPerMinute": requests, "tokensPerMinute": tokens}
    return Limiter(Limits.model_validate({k: v for k, v in wanted.items() if v}))


def test_without_a_limit_everything_passes_unmeasured() -> None:
    verdict = limiter().ask("k", 10**9, 0.0)
    assert (verdict.refused_by, verdict.levels) == (None, ())


def test_requests_above_the_limit_wait_for_the_next_free_place() -> None:
    bounded = limiter(requests=2)
    assert [bounded.ask("k", 1, 0.0).refused_by for _ in range(3)] == [None, None, "requests"]
    assert bounded.ask("k", 1, 0.0).retry_after_s == 30.0
    assert bounded.ask("k", 1, 29.0).refused_by == "requests"
    assert bounded.ask("k", 1, 30.0).refused_by is None


def test_a_key_does_not_pay_for_another() -> None:
    bounded = limiter(requests=1)
    assert [bounded.ask(key, 1, 0.0).refused_by for key in "aba"] == [None, None, "requests"]


def test_a_refused_request_costs_nothing_of_the_other_limit() -> None:
    bounded = limiter(requests=10, tokens=100)
    assert bounded.ask("k", 90, 0.0).refused_by is None
    refused = bounded.ask("k", 20, 0.0)
    assert (refused.refused_by, refused.retry_after_s) == ("tokens", 6.0)
    assert refused.levels == (Level("requests", 10, 9, 6.0), Level("tokens", 100, 10, 54.0))


def test_a_request_larger_than_the_limit_is_not_told_to_wait() -> None:
    verdict = limiter(tokens=100).ask("k", 101, 0.0)
    assert (verdict.refused_by, verdict.retry_after_s) == ("tokens", None)


def block(name: str, tokens: int, *, marked: bool = False) -> Block:
    return Block(name.encode(), tokens, marked)


def read(cache: Prefixes, *blocks: Block, owner: str = "key model", now: float = 0.0) -> Use:
    use = cache.look(owner, blocks, now)
    cache.keep(use, now)
    return Use(use.read, use.written, use.plain)


def prefixes(**settings: float) -> Prefixes:
    return Prefixes(PromptCache.model_validate(settings))


def test_a_marked_prefix_is_written_once_and_then_read() -> None:
    cache, system = prefixes(), block("system", 100, marked=True)
    assert read(cache, system, block("one", 5)) == Use(read=0, written=100, plain=5)
    assert read(cache, system, block("two", 7)) == Use(read=100, written=0, plain=7)


def test_a_growing_conversation_reads_what_it_wrote_and_writes_the_rest() -> None:
    cache, first = prefixes(), block("one", 10, marked=True)
    read(cache, first)
    longer = read(cache, block("one", 10), block("two", 4, marked=True), block("three", 1))
    assert longer == Use(read=10, written=4, plain=1)


def test_without_a_mark_nothing_is_cached() -> None:
    cache = prefixes()
    assert [read(cache, block("one", 10)) for _ in range(2)] == [Use(0, 0, 10)] * 2


def test_another_owner_or_another_beginning_reads_nothing() -> None:
    cache, marked = prefixes(), block("one", 10, marked=True)
    read(cache, marked)
    assert read(cache, marked, owner="key other-model") == Use(0, 10, 0)
    assert read(cache, block("zero", 1), marked) == Use(0, 11, 0)


def test_a_prefix_lives_from_its_last_use() -> None:
    cache, marked = prefixes(ttlSeconds=300), block("one", 10, marked=True)
    read(cache, marked, now=0.0)
    assert read(cache, marked, now=299.0) == Use(10, 0, 0)
    assert read(cache, marked, now=598.0) == Use(10, 0, 0)
    assert read(cache, marked, now=899.0) == Use(0, 10, 0)


def test_a_prefix_below_the_minimum_is_ordinary_input() -> None:
    cache = prefixes(minTokens=1024)
    assert read(cache, block("one", 1023, marked=True)) == Use(0, 0, 1023)


def test_a_looked_at_prompt_that_was_not_answered_leaves_nothing() -> None:
    cache, marked = prefixes(), block("one", 10, marked=True)
    cache.look("key model", [marked], 0.0)
    assert read(cache, marked) == Use(0, 10, 0)


def test_each_request_ends_once_in_the_counts() -> None:
    counts = Counts()
    tickets = [counts.begin("/v1/messages", "m", "key") for _ in range(4)]
    tickets[0].completed(Usage(5, 3, 2, 1))
    tickets[0].completed(Usage(5, 3, 2, 1))
    tickets[0].broken(3)
    tickets[1].broken(2)
    tickets[2].refused()
    billed = {"inputTokens": 5, "outputTokens": 3, "cacheWriteTokens": 2, "cacheReadTokens": 1}
    broken = {"answers": 1, "outputTokens": 2}
    want = {"requests": 4, "completed": 1, "billed": billed, "broken": broken}
    found = counts.as_json()
    assert {name: found[name] for name in want} == want
    assert found["inFlight"] == 1
    assert found["byKey"] == {"key": want}
    assert found["byModel"] == {"m": want}
    assert found["byPath"] == {"/v1/messages": want}


def test_a_key_is_counted_under_its_fingerprint() -> None:
    assert fingerprint("sk-secret") == "746b4ad1ca91"
    assert fingerprint(None) == "-"
