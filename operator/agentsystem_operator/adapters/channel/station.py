"""The operator's end of the channel as one part: authority, tokens, server. Wired here, run there.

Only `wiring` imports this.
"""

import asyncio
import logging
from collections.abc import Callable

from agentsystem_operator import ports
from agentsystem_operator.adapters.api_client import ApiClient
from agentsystem_operator.adapters.channel.cluster_keys import ClusterKeys
from agentsystem_operator.adapters.channel.limits import Limits
from agentsystem_operator.adapters.channel.server import ChannelServer, Context, Desk, Role, Table
from agentsystem_operator.adapters.channel.tokens import Claims, Verifier
from agentsystem_operator.adapters.metrics import Metrics
from agentsystem_operator.model.heard import Speaker
from agentsystem_operator.model.observed import Child
from agentsystem_operator.model.references import Kind, Ref, SystemKey

logger = logging.getLogger(__name__)


class Station:
    """Serves the channel of one process, leader or not."""

    def __init__(
        self,
        api: ApiClient,
        address: tuple[str, int],
        *,
        context: Context,
        child: Callable[[Ref], Child | None],
        role: Role,
        table: Table,
        metrics: Metrics,
        clock: ports.Clock,
    ) -> None:
        """`child` looks into the cache of children; `context` is our certificate's."""
        self._address = address
        self._child = child
        keys = ClusterKeys(api, clock=clock)
        desk = Desk(
            verify=Verifier(keys, clock=clock).verify,
            speaker_of=self.speaker_of,
            role=role,
            table=table,
            tally=metrics,
            clock=clock,
            limits=Limits(),
        )
        self._server = ChannelServer(desk, context)

    async def run(self) -> None:
        """Serve for ever; a port that is taken is tried again, since nothing else depends on it."""
        host, port = self._address
        while True:
            try:
                await self._server.run(host, port, ready=self._ready)
            except OSError as exc:
                logger.error(  # noqa: TRY400 -- the text says it all
                    "channel cannot listen", extra={"port": port, "error": exc.strerror}
                )
            await asyncio.sleep(LISTEN_AGAIN_S)

    def _ready(self, port: int) -> None:
        logger.info("channel open", extra={"port": port})

    def speaker_of(self, claims: Claims) -> Speaker | None:
        """Return which agent's pod it is: its service account must be one that we made.

        By uid, so that a token outlives neither its account nor its system; labels and owner are
        restored when somebody changes them, and say whose it is.
        """
        child = self._child(Ref(Kind.SERVICE_ACCOUNT, claims.namespace, claims.account))
        if child is None or child.uid != claims.account_uid or child.controller_uid is None:
            return None
        if claims.account != f"{child.system}--{child.agent}":
            return None
        return Speaker(SystemKey(claims.namespace, child.system), child.agent, claims.pod_uid)


LISTEN_AGAIN_S = 5.0
