"""Waits at start for what may come later than we do: the apiserver and the CRD.

One line of log per thing that is missing, however long it takes; /readyz says it all the time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from agentsystem_operator import ports

RETRY_S = 1.0

logger = logging.getLogger(__name__)


class Startup:
    """What is still missing before work can begin."""

    def __init__(self, *, is_served: Callable[[], Awaitable[bool]]) -> None:
        self._is_served = is_served
        self._said = ""
        self.missing = "starting"

    async def wait(self) -> None:
        """Return when the apiserver answers and serves AgentSystems."""
        while self.missing:
            try:
                served = await self._is_served()
                self.missing = "" if served else "CustomResourceDefinition agentsystems missing"
            except ports.ClusterUnreachable:
                self.missing = "apiserver not reached"
            except ports.ClusterError as exc:
                self.missing = f"apiserver refuses us: {exc}"
            if self.missing:
                self._say(self.missing)
                await asyncio.sleep(RETRY_S)

    def _say(self, missing: str) -> None:
        if missing != self._said:
            self._said = missing
            logger.warning("waiting: %s", missing)
