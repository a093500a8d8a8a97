"""Tasks that go on beside the requests for as long as something is open.

A fault that nobody thought of must not end one in silence: leases would lapse and charges stay
unsettled while the pod looks well. It is logged, and the task begins anew.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

PAUSE_S = 5.0
"""Before a task that failed begins anew: often enough for a lease, too seldom to fill a disk."""

_log = logging.getLogger(__name__)
Run = Callable[[], Awaitable[None]]


async def lasting(name: str, run: Run) -> None:
    """Run until it returns or is cancelled, whatever it raises in between."""
    while True:
        try:
            await run()
        except Exception:  # noqa: BLE001  # what the module is for: logged, and gone on with
            _log.exception("a background task failed and begins anew", extra={"task": name})
            await asyncio.sleep(PAUSE_S)
        else:
            return


@asynccontextmanager
async def going_on(**runs: Run) -> AsyncIterator[None]:
    """Run each meanwhile, under its name; at the end they are cancelled and waited for."""
    tasks = [asyncio.create_task(lasting(name, run), name=name) for name, run in runs.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
