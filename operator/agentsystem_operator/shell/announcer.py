"""Sends Kubernetes Events, equal ones once an hour. Losing one is harmless."""

import logging
from collections import OrderedDict
from collections.abc import Sequence

from agentsystem_operator import ports
from agentsystem_operator.model.evaluation import Event
from agentsystem_operator.model.system import System

SILENCE_S = 3600.0
"""The apiserver keeps Events for an hour: repeating one sooner shows nothing new."""
REMEMBERED_MAX = 4096
"""Beyond this the oldest may be sent again; the apiserver then knows it by its name."""

logger = logging.getLogger(__name__)
_Stamp = tuple[str, str, str]


class Announcer:
    """Remembers what was announced."""

    def __init__(self, cluster: ports.Cluster, *, clock: ports.Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._sent: OrderedDict[_Stamp, float] = OrderedDict()

    async def announce(self, system: System, events: Sequence[Event]) -> None:
        """Send those of the Events that were not sent within the last hour."""
        for event in events:
            stamp = (system.uid, event.reason, event.message)
            if self._is_news(stamp):
                await self._send(system, event, stamp)

    def _is_news(self, stamp: _Stamp) -> bool:
        sent = self._sent.get(stamp)
        return sent is None or self._clock.monotonic() - sent >= SILENCE_S

    async def _send(self, system: System, event: Event, stamp: _Stamp) -> None:
        try:
            await self._cluster.send_event(system.key, uid=system.uid, event=event)
        except (ports.Refused, ports.Gone) as exc:
            _pass_over(event, exc)
        except ports.ClusterUnreachable as exc:
            if exc.retry_after_s is not None:
                raise  # overloaded: nothing at all is to be sent for a while
            _pass_over(event, exc)
        self._sent[stamp] = self._clock.monotonic()
        self._sent.move_to_end(stamp)
        while len(self._sent) > REMEMBERED_MAX:
            self._sent.popitem(last=False)


def _pass_over(event: Event, exc: ports.ClusterError) -> None:
    # An Event is a courtesy: the condition says the same and is what counts.
    logger.info("event not sent", extra={"reason": event.reason, "error": str(exc)})
