"""A provider fails in every way that providers fail, under load; with a fallback nobody notices.

Half of the requests are streams. What has begun cannot be answered by somebody else, so a stream
that breaks in the middle ends with an error frame, and the breaker keeps that to a handful.
`python -m bench outages` does the same at 100 requests a second.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from tests.contract.runtime import outages, serving, simulated
from tests.contract.runtime.outages import MIDWAY, WHOLE, Told

PER_SECOND = 50
SECONDS = 1.5
HEALED_WITHIN_S = 5.0
DEADLINE_S = 3.0
"""One timeout (0.5 s), and a busy machine."""
load = functools.partial(outages.load, per_second=PER_SECOND)


async def outage(
    fault: dict[str, Any], first: str, folder: Path, *, plain: bool = True
) -> tuple[Told, dict[str, Any]]:
    """Return how requests ended while the first provider failed, and what was asked of both."""
    second = "Anthropic" if first == "OpenAI" else "OpenAI"
    async with (
        simulated.simulating(rules=[outages.rule(fault)]) as there,
        serving.serving(outages.config(there.url, folder, first, second)) as served,
    ):
        told = await load(served.url, SECONDS, plain=plain)
        return told, await there.counts()


@pytest.mark.parametrize(
    ("name", "first"),
    [
        *((name, "OpenAI") for name in WHOLE),
        *((name, "Anthropic") for name in ("500", "quota", "hang", "malformed")),
    ],
)
async def test_nobody_notices_an_outage_when_there_is_a_fallback(
    name: str, first: str, tmp_path: Path
) -> None:
    told, counts = await outage(WHOLE[name], first, tmp_path)
    total = int(PER_SECOND * SECONDS)
    assert told.outcomes == {"whole": total}
    assert told.slowest_s <= DEADLINE_S
    # Each answer was charged exactly once: whatever else was asked was not answered.
    assert counts["completed"] == total
    # The breaker keeps the load off: five failures, those on their way when the first one is known
    # (25 if that takes its timeout), and a probe every three seconds.
    assert counts["byModel"]["failing"]["requests"] <= 45


@pytest.mark.parametrize(
    ("name", "first"), [*((name, "OpenAI") for name in MIDWAY), ("reset", "Anthropic")]
)
async def test_a_stream_that_breaks_ends_with_an_error_frame_and_few_do(
    name: str, first: str, tmp_path: Path
) -> None:
    told, counts = await outage(MIDWAY[name], first, tmp_path, plain=False)
    broken = told.outcomes["error frame"]
    assert told.outcomes == {"whole": told.answered, "error frame": broken}
    assert 5 <= broken <= 40
    assert told.slowest_s <= DEADLINE_S
    assert counts["completed"] == told.answered


async def test_a_provider_that_heals_is_in_use_within_five_seconds(tmp_path: Path) -> None:
    rule = outages.rule(WHOLE["500"], seconds=1.0)
    async with (
        simulated.simulating(rules=[rule]) as there,
        serving.serving(outages.config(there.url, tmp_path, "OpenAI", "Anthropic")) as served,
    ):
        await load(served.url, 1.0 + HEALED_WITHIN_S)
        before = (await there.counts())["byModel"]["failing"]["completed"]
        await load(served.url, 1.0)
        after = (await there.counts())["byModel"]["failing"]["completed"]
    assert after - before == PER_SECOND
