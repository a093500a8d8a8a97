"""A missing apiserver or CRD is waited for with one line of log each."""

from __future__ import annotations

import asyncio

import pytest

from agentsystem_operator import ports
from agentsystem_operator.shell.startup import Startup
from tests.fakes.virtual_time import virtual


@virtual
async def test_each_thing_that_is_missing_is_said_once() -> None:
    script: list[bool | Exception] = [
        *[ports.ClusterUnreachable("away")] * 100,
        *[False] * 100,
        True,
    ]

    async def is_served() -> bool:
        found = script.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    startup = Startup(is_served=is_served)
    seen: list[str] = []
    task = asyncio.create_task(startup.wait())
    while not task.done():
        if startup.missing and startup.missing not in seen:
            seen.append(startup.missing)
        await asyncio.sleep(0.5)
    assert seen == [
        "starting",
        "apiserver not reached",
        "CustomResourceDefinition agentsystems missing",
    ]
    assert startup.missing == ""


def test_the_log_has_one_line_per_missing_thing(caplog: pytest.LogCaptureFixture) -> None:
    answers = [False] * 30 + [True]

    async def is_served() -> bool:
        return answers.pop(0)

    @virtual
    async def run() -> None:
        await Startup(is_served=is_served).wait()

    run()
    assert [record.getMessage() for record in caplog.records] == [
        "waiting: CustomResourceDefinition agentsystems missing"
    ]
