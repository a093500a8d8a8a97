"""Sends Kubernetes Events, equal ones once an hour. Losing one is harmless."""

import logging
from collections.abc import Sequence

from agentsystem_operator import ports
from agentsystem_operator.model.evaluation import Event
from agentsystem_operator.model.system import System
from agentsystem_operator.shell.memory import Notes

SILENCE_S = 3600.0
"""The apiserver keeps Events for an hour: repeating one sooner shows nothing new."""
REMEMBERED_MAX = 64
"""Per system; beyond this the oldest may be sent again: the apiserver then knows it by its name."""

logger = logging.getLogger(__name__)


class Announcer:
    """Announces what is new according to a system's notes."""

    def __init__(self, cluster: ports.Cluster, *, clock: ports.Clock) -> None:
        self._cluster = cluster
        self._clock = clock

    async def announce(self, system: System, notes: Notes, events: Sequence[Event]) -> None:
        """Send those of the Events that were not sent within the last hour."""
        for event in events:
            # A number instead of the text; that two are alike costs one Event in 2**64.
            stamp = hash((event.reason, event.message))
            sent = notes.announced.get(stamp)
            if sent is None or self._clock.monotonic() - sent >= SILENCE_S:
                await self._send(system, event)
                self._remember(notes.announced, stamp)

    async def _send(self, system: System, event: Event) -> None:
        try:
            await self._cluster.send_event(system.key, uid=system.uid, event=event)
        except (ports.Refused, ports.Gone) as exc:
            _pass_over(event, exc)
        except ports.ClusterUnreachable as exc:
            if exc.retry_after_s is not None:
                raise  # overloaded: nothing at all is to be sent for a while
            _pass_over(event, exc)

    def _remember(self, announced: dict[int, float], stamp: int) -> None:
        announced.pop(stamp, None)
        announced[stamp] = self._clock.monotonic()
        if len(announced) > REMEMBERED_MAX:
            del announced[next(iter(announced))]


def _pass_over(event: Event, exc: ports.ClusterError) -> None:
    # An Event is a courtesy: the condition says the same and is what counts.
    logger.info("event not sent", extra={"reason": event.reason, "error": str(exc)})
