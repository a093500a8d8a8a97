"""Protected agents with an answer cache: nobody's data is in it, and all get their own back."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from agent_runtime.agents.agent import Turn
from agent_runtime.agents.private.key import SecretKey
from agent_runtime.agents.private.stage import PrivateAgent, Protection
from agent_runtime.cache.cached import Cached
from agent_runtime.guard.pii.kinds import Policy
from agent_runtime.observability.pii_metrics import PiiMetrics
from agent_runtime.providers.receipt import Cache
from tests.pii.rules import detector
from tests.unit.runtime.remembered import Model, Pod, Pool

BOB, EVE = "bob@example.com", "eve@example.org"
MINE = "I write to <EMAIL_1>"
THEIRS = "Ask carol@example.net, not <EMAIL_1>"


class Protected:
    """An agent under protection, with a cache, and what its pods share."""

    def __init__(
        self, folder: Path, says: str, policy: Policy = Policy.MASK, *, restore: bool = True
    ) -> None:
        (folder / "key").write_text("s" * 32)
        metrics = PiiMetrics(CollectorRegistry())
        key = SecretKey(folder / "key", origin="Secret 'pii'", missing=metrics.key_missing)
        guard = Protection(detector(policy, restore=restore), key, metrics)
        self.pool = Pool()
        self.model = Model(said=says)
        pod = Pod(self.model, shared=self.pool)
        self.agent = PrivateAgent(
            "front", "be kind", self.model, guard, around=lambda inner: Cached(inner, pod.answers)
        )

    async def ask(self, who: str) -> tuple[str, Cache | None]:
        turn = Turn([{"role": "user", "content": f"I am {who}"}], {})
        answer = await self.agent.complete(turn)
        return answer.message["content"], turn.receipt.cache

    async def read(self, who: str) -> tuple[str, Cache | None]:
        turn = Turn([{"role": "user", "content": f"I am {who}"}], {})
        chunks = [chunk async for chunk in self.agent.stream(turn)]
        return "".join(c.delta.get("content", "") for c in chunks), turn.receipt.cache


async def test_two_callers_share_an_answer_and_each_gets_their_own_data_back(
    tmp_path: Path,
) -> None:
    protected = Protected(tmp_path, MINE)
    assert await protected.ask(BOB) == (f"I write to {BOB}", Cache.MISS)
    assert await protected.ask(EVE) == (f"I write to {EVE}", Cache.HIT)
    assert await protected.read(EVE) == (f"I write to {EVE}", Cache.HIT)


async def test_what_is_kept_has_nobodys_data_in_it(tmp_path: Path) -> None:
    protected = Protected(tmp_path, MINE)
    await protected.read(BOB)
    (value,) = protected.pool.values.values()
    assert b"<EMAIL_1>" in value[0]
    assert b"bob" not in value[0]


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_whose_own_data_goes_back_to_its_caller_is_for_its_caller_alone(
    tmp_path: Path, streamed: bool
) -> None:
    """Others would get a placeholder that stands for nothing they know."""
    protected = Protected(tmp_path, THEIRS)
    ask = protected.read if streamed else protected.ask
    for who in (BOB, EVE):
        assert await ask(who) == (f"Ask carol@example.net, not {who}", Cache.MISS)
    assert protected.pool.values == {}


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_whose_data_stays_hidden_from_everybody_is_shared(
    tmp_path: Path, streamed: bool
) -> None:
    protected = Protected(tmp_path, THEIRS, restore=False)
    ask = protected.read if streamed else protected.ask
    want = "Ask <EMAIL_2>, not <EMAIL_1>"
    assert [await ask(who) for who in (BOB, EVE)] == [(want, Cache.MISS), (want, Cache.HIT)]


async def test_callers_who_stay_distinguishable_share_nothing(tmp_path: Path) -> None:
    """A hash tells a model, and so the cache, who is who."""
    protected = Protected(tmp_path, "hello", Policy.HASH)
    outcomes = [(await protected.ask(who))[1] for who in (BOB, EVE, BOB)]
    assert outcomes == [Cache.MISS, Cache.MISS, Cache.HIT]
