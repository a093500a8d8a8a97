"""A chain of providers that looks like one provider.

Invariant: another provider is tried only while nothing of an answer has been passed on.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from agent_runtime.providers.base import Answer, Chunk, ErrorClass, Prompt, Provider, ProviderError

# A missing key counts: the provider is as unreachable as if its endpoint were down.
TRY_NEXT = frozenset(
    {
        ErrorClass.CONNECT,
        ErrorClass.TIMEOUT,
        ErrorClass.RATE_LIMITED,
        ErrorClass.SERVER_ERROR,
        ErrorClass.KEY_MISSING,
    }
)


class Route:
    """Tries its providers in order until one begins to answer."""

    def __init__(self, chain: Sequence[Provider]) -> None:
        self._chain = chain

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the first answer of the chain."""
        failures: list[ProviderError] = []
        for provider in self._chain:
            try:
                return await provider.complete(prompt)
            except ProviderError as exc:
                if exc.error_class not in TRY_NEXT:
                    raise
                failures.append(exc)
        raise _telling(failures)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield from the first provider that sends a chunk; later breaks are passed on."""
        failures: list[ProviderError] = []
        for provider in self._chain:
            begun = False
            try:
                async with aclosing(provider.stream(prompt)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
            except ProviderError as exc:
                if begun or exc.error_class not in TRY_NEXT:
                    raise
                failures.append(exc)
            else:
                return
        raise _telling(failures)


def _telling(failures: Sequence[ProviderError]) -> ProviderError:
    """Return the failure worth telling: a missing key, which waiting cannot cure, else the last."""
    missing = (f for f in failures if f.error_class is ErrorClass.KEY_MISSING)
    return next(missing, failures[-1])
