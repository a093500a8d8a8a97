"""What goes on beside the requests survives faults that nobody thought of, and says so."""

from __future__ import annotations

import asyncio
import logging

import pytest

from agent_runtime import upkeep
from tests.fakes.virtual_time import virtual


class Work:
    """A task that fails so many times, and then lasts."""

    def __init__(self, failures: int) -> None:
        self.begun = 0
        self.was_cancelled = False
        self._failures = failures

    async def run(self) -> None:
        self.begun += 1
        await asyncio.sleep(1)
        if self.begun <= self._failures:
            raise RuntimeError("a secret")
        try:
            await asyncio.Event().wait()
        finally:
            self.was_cancelled = True


@virtual
async def test_a_task_that_fails_begins_anew_and_is_ended_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    frail, sound = Work(failures=2), Work(failures=0)
    with caplog.at_level(logging.ERROR):
        async with upkeep.going_on(frail=frail.run, sound=sound.run):
            await asyncio.sleep(2 * (1 + upkeep.PAUSE_S) + 2)
    assert (frail.begun, sound.begun) == (3, 1)
    assert frail.was_cancelled
    assert sound.was_cancelled
    assert [vars(record)["task"] for record in caplog.records] == ["frail", "frail"]


@virtual
async def test_one_that_fails_at_the_end_holds_nobody_up() -> None:
    async def fails() -> None:
        raise RuntimeError

    async with upkeep.going_on(fails=fails):
        await asyncio.sleep(0)


@virtual
async def test_one_that_returns_has_ended() -> None:
    begun = 0

    async def once() -> None:
        nonlocal begun
        begun += 1

    await upkeep.lasting("once", once)
    assert begun == 1


@virtual
async def test_nothing_may_go_on() -> None:
    async with upkeep.going_on():
        await asyncio.sleep(0)
