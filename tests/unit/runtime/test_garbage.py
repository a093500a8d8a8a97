"""The garbage collector comes by the clock."""

import asyncio
import gc
from collections import Counter

import pytest

from agent_runtime.app import garbage
from tests.fakes.virtual_time import run


def test_young_objects_are_looked_at_often_older_ones_seldom_and_all_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: Counter[int] = Counter()
    monkeypatch.setattr(gc, "collect", lambda generation: looks.update([generation]))

    async def story() -> None:
        task = asyncio.create_task(garbage.look())
        await asyncio.sleep(20 * 60 + 1)
        task.cancel()

    run(story())
    assert looks == {0: 12010 - 40, 1: 38, 2: 2}


def test_a_circle_is_found_soon_although_the_collector_does_not_come_by_itself() -> None:
    class Node:
        alive = 0

        def __init__(self) -> None:
            self.me = self
            Node.alive += 1

        def __del__(self) -> None:
            Node.alive -= 1

    async def story() -> None:
        garbage.settle()
        task = asyncio.create_task(garbage.look())
        Node()
        assert Node.alive == 1
        await asyncio.sleep(2 * garbage.YOUNG_EVERY_S)
        assert Node.alive == 0
        task.cancel()

    try:
        run(story())
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
