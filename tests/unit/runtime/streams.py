"""Reads streams that are expected to fail."""

from collections.abc import AsyncIterator
from typing import TypeVar

Piece = TypeVar("Piece")
Failure = TypeVar("Failure", bound=Exception)


async def until(
    failure: type[Failure], stream: AsyncIterator[Piece]
) -> tuple[list[Piece], Failure]:
    """Return what a stream gave before it failed, and how it failed."""
    seen: list[Piece] = []
    try:
        async for piece in stream:
            seen.append(piece)  # noqa: PERF401  # what came before the failure counts
    except failure as exc:
        return seen, exc
    raise AssertionError(f"the stream did not fail with {failure.__name__}")
