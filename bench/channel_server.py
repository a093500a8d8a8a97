"""The operator's end of the channel in a process of its own, for `bench.channel`.

Reads the cluster's public key from its first line of input; prints its port and authority.
"""

from __future__ import annotations

import asyncio
import json
import sys

from cryptography.hazmat.primitives import serialization

from agentsystem_operator.adapters.channel import authority, tokens
from agentsystem_operator.adapters.channel.limits import Limits
from agentsystem_operator.adapters.channel.server import ChannelServer, Desk
from agentsystem_operator.adapters.metrics import Metrics
from agentsystem_operator.shell.clock import SystemClock
from agentsystem_operator.shell.heard import HeardTable
from tests.contract.channel.rig import HOST, KnownKeys, Role, speaker_of


async def main() -> None:
    """Serve until terminated."""
    told = json.loads(sys.stdin.readline())
    key = serialization.load_pem_public_key(told["key"].encode())
    clock = SystemClock()
    by = authority.make(clock.now())
    context, _ = authority.server_context(by, [HOST], clock.now())
    known = KnownKeys({told["kid"]: key})  # type: ignore[dict-item]  # RSA, as the caller made it
    table = HeardTable(clock=clock, changed=lambda _: None)
    desk = Desk(
        verify=tokens.Verifier(known, clock=clock).verify,
        speaker_of=speaker_of,
        role=Role(),
        table=table,
        tally=Metrics(),
        clock=clock,
        limits=Limits(),
    )

    def ready(port: int) -> None:
        print(json.dumps({"port": port, "trusted": by.certificate_pem}), flush=True)

    async with asyncio.TaskGroup() as group:
        group.create_task(table.run())
        group.create_task(ChannelServer(desk, lambda: context).run("127.0.0.1", 0, ready=ready))


if __name__ == "__main__":
    asyncio.run(main())
