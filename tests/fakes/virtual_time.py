"""Virtual time: an event loop whose clock jumps to the next timer instead of waiting for it.

Nothing sleeps, so an hour of backoff is tested in milliseconds. Sockets on loopback work: before
the clock jumps, they get a few real milliseconds to deliver what is under way.
A blocking call of the operator's own fails the test.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from blockbuster import blockbuster_ctx

IO_GRACE_S = 0.005
P = ParamSpec("P")
T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Waits for sockets only, and tells the loop how much time to skip instead."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            # Nothing is scheduled: only a socket can wake us; a test that hangs here is at fault.
            return super().select(5.0)
        has_sockets = len(self.get_map()) > 1  # the loop's own wake-up pipe aside
        ready = super().select(min(timeout, IO_GRACE_S) if has_sockets else 0)
        if not ready and timeout > 0:
            self.skipped += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, which starts at 1000 s."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return 1000.0 + self._virtual.skipped


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on virtual time."""
    with (
        blockbuster_ctx("agentsystem_operator") as detector,
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        for name in ("io.BufferedReader.read", "os.listdir"):
            # It reads /proc, which is memory.
            detector.functions[name].can_block_in("process_collector.py", "collect")
        return runner.run(main)


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make an async test a plain one that runs on virtual time."""

    @functools.wraps(test)
    def plain(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs))

    return plain


async def settle() -> None:
    """Let everything that can run now run; virtual time stands still."""
    for _ in range(50):
        await asyncio.sleep(0)
