"""Makes answers cost less when the budget says so, level by level (`levels`).

Stands around an agent's route. While the budget is exhausted the agent's own chain is asked after
all: what costs money is refused, and a scripted provider at its end still answers.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from agent_runtime.cost import context
from agent_runtime.cost.budget import State
from agent_runtime.cost.levels import DEEPEST, Level
from agent_runtime.providers.base import Answer, Chunk, Prompt, Provider, Texts, Vectors


class Economical:
    """Wraps a route."""

    def __init__(
        self, route: Provider, cheaper: Provider | None, state: Callable[[], State]
    ) -> None:
        """`cheaper` is the route of degraded answers, if there is one; `state` the last known."""
        self._route = route
        self._cheaper = cheaper
        self._state = state

    async def complete(self, prompt: Prompt) -> Answer:
        """Return an answer that costs what the budget's state allows."""
        route, prompt = self._chosen(prompt)
        return await route.complete(prompt)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield an answer that costs what the budget's state allows."""
        route, prompt = self._chosen(prompt)
        async with aclosing(route.stream(prompt)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def embed(self, texts: Texts) -> Vectors:
        """Return the route's own vectors: those of another model are no use beside them."""
        return await self._route.embed(texts)

    def _chosen(self, prompt: Prompt) -> tuple[Provider, Prompt]:
        deepest = DEEPEST[self._state()]
        if deepest < Level.REDUCED_CONTEXT:
            return self._route, prompt
        level, route = Level.FULL, self._route
        shorter = context.shorten(prompt.messages)
        if shorter is not prompt.messages:
            level, prompt = Level.REDUCED_CONTEXT, replace(prompt, messages=shorter)
        if deepest is Level.STATIC_ANSWER:
            level = Level.STATIC_ANSWER  # whoever answers now does it for nothing
        elif self._cheaper is not None:
            level, route = Level.CHEAPER_MODEL, self._cheaper
        if level is not Level.FULL:
            prompt.receipt.degraded = level.label
            prompt.receipt.may_share = False  # better times deserve a better answer
        return route, prompt
