"""Interrupts at any moment: they raise KeyboardInterrupt, but never inside a critical step."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _raise(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def raise_on_terminate() -> None:
    """Make SIGTERM end a command as Ctrl-C does, with the same cleaning up."""
    for number in _SIGNALS:
        signal.signal(number, _raise)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Hold interrupts back until the block is done.

    Handlers, unlike a blocked or ignored signal, are not inherited by programs started inside.
    """
    pending: list[int] = []
    before = {
        number: signal.signal(number, lambda got, _: pending.append(got)) for number in _SIGNALS
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if pending:
        raise KeyboardInterrupt
