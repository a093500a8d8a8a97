"""A circuit breaker per provider and model: a failing one is left alone, and probed.

Invariant: while it is open or half open, at most one request that came since is with the provider.
"""

import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from enum import IntEnum

from agent_runtime.providers.base import (
    Answer,
    Chunk,
    ErrorClass,
    Prompt,
    Provider,
    ProviderError,
    Texts,
    Vectors,
)
from agent_runtime.providers.failures import CONDUCT, UNAFFORDABLE

ERRORS = 5
"""So many errors in a row open it, however fast they come."""
LASTING_ERRORS = 3
"""So many in a row do, if nothing else came for `LASTING_S`."""
LASTING_S = 1.0
PROBE_AFTER_S = 3.0
"""How soon a provider that healed is asked again; with the probe's own time it is back in 5 s."""


_NOT_ASKED = UNAFFORDABLE | {ErrorClass.KEY_MISSING, ErrorClass.LIMITED, ErrorClass.UNSUPPORTED}
"""Failures that come from us: they say nothing about the provider, not even that it lives."""


class State(IntEnum):
    """The state; its number is the metric's value."""

    CLOSED = 0
    """Every request passes."""
    HALF_OPEN = 1
    """One request, the probe, is with the provider."""
    OPEN = 2
    """No request passes."""


class Breaker:
    """The state machine, without I/O."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[State], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._changed = changed
        self._errors = 0
        self._failing_since = 0.0
        self._opened_at = 0.0
        self.asked_at: float | None = None
        """When a request last told something about the provider, on the clock."""
        self.state = State.CLOSED

    def admit(self) -> float | None:
        """Let a request pass and return None, or return the seconds until one may be the probe."""
        if self.state is State.CLOSED:
            return None
        left = self._opened_at + PROBE_AFTER_S - self._clock()
        if self.state is State.HALF_OPEN or left > 0:
            return max(left, 0.0)
        self._become(State.HALF_OPEN)
        return None

    def began(self) -> None:
        """Take note of the first piece of an answer: whoever waits for the probe need not wait on.

        Errors in a row are not forgotten yet, since an answer that always breaks off is no answer.
        """
        if self.state is State.HALF_OPEN:
            self._become(State.CLOSED)

    def succeeded(self) -> None:
        """Take note of an answer."""
        self.asked_at = self._clock()
        self._errors = 0
        if self.state is not State.CLOSED:
            self._become(State.CLOSED)

    def failed(self) -> None:
        """Take note of an error that says something about the provider."""
        now = self.asked_at = self._clock()
        if self._errors == 0:
            self._failing_since = now
        self._errors += 1
        lasting = self._errors >= LASTING_ERRORS and now - self._failing_since >= LASTING_S
        if self.state is State.HALF_OPEN or (
            self.state is State.CLOSED and (self._errors >= ERRORS or lasting)
        ):
            self._opened_at = now
            self._become(State.OPEN)

    def abandoned(self) -> None:
        """Take note that the probe ended without a result; another may be it at once."""
        if self.state is State.HALF_OPEN:
            self._become(State.OPEN)

    def _become(self, state: State) -> None:
        self.state = state
        self._changed(state)


class Guarded:
    """Wraps a provider: its breaker decides whether it is asked at all."""

    def __init__(self, name: str, inner: Provider, breaker: Breaker) -> None:
        self._name = name
        self._inner = inner
        self._breaker = breaker
        self._last: ErrorClass | None = None
        """Why the breaker is open, if it is."""

    @property
    def state(self) -> State:
        """Return the breaker's state."""
        return self._breaker.state

    @property
    def asked_at(self) -> float | None:
        """Return when a request last told something about the provider; None if none did."""
        return self._breaker.asked_at

    @property
    def last_failure(self) -> ErrorClass | None:
        """Return the last failure that says something about the provider."""
        return self._last

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the inner provider's answer."""
        with self._judged():
            return await self._inner.complete(prompt)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield the inner provider's chunks."""
        with self._judged():
            async with aclosing(self._inner.stream(prompt)) as chunks:
                async for chunk in chunks:
                    self._breaker.began()
                    yield chunk

    async def embed(self, texts: Texts) -> Vectors:
        """Return the inner provider's vectors."""
        with self._judged():
            return await self._inner.embed(texts)

    @contextmanager
    def _judged(self) -> Iterator[None]:
        if (wait_s := self._breaker.admit()) is not None:
            raise self._left_alone(wait_s)
        is_probe = self._breaker.state is State.HALF_OPEN
        try:
            yield
        except ProviderError as exc:
            self._take(exc.error_class, is_probe=is_probe)
            raise
        except BaseException:  # cancelled, or given up by the client
            if is_probe:
                self._breaker.abandoned()
            raise
        self._breaker.succeeded()

    def _take(self, error_class: ErrorClass, *, is_probe: bool) -> None:
        if CONDUCT[error_class].opens_breaker:
            self._last = error_class
            self._breaker.failed()
        elif error_class not in _NOT_ASKED:  # the request is at fault: it was answered
            self._breaker.succeeded()
        elif is_probe:
            self._breaker.abandoned()

    def _left_alone(self, wait_s: float) -> ProviderError:
        text = f"provider {self._name!r} failed again and again ({self._last}); it is asked soon"
        return ProviderError(
            ErrorClass.CIRCUIT_OPEN, self._name, text, retry_after_s=wait_s, after=self._last
        )
