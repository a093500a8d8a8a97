"""A Lease in memory that can hang, fail and be taken by others."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

from agentsystem_operator import ports


class FakeLeases:
    """Implements `ports.Leases`; several electors may share one."""

    def __init__(self) -> None:
        self.lease: ports.Lease | None = None
        self.fault: Exception | None = None
        self.hangs = False
        self.calls: list[str] = []
        self._versions = itertools.count(1)

    async def read(self) -> ports.Lease | None:
        self.calls.append("read")
        await self._misbehave()
        return self.lease

    async def write(self, lease: ports.Lease) -> ports.Lease:
        self.calls.append("write")
        await self._misbehave()
        if lease.version != (self.lease.version if self.lease else ""):
            raise ports.ConflictLost("409 Conflict")
        number = str(next(self._versions))
        self.lease = replace(lease, version=number, renewed=f"renewal {number}")
        return self.lease

    def held_by(self, holder: str) -> None:
        """Let somebody else take it, whoever has it."""
        number = str(next(self._versions))
        self.lease = ports.Lease(holder, 15.0, f"renewal {number}", 0, number)

    async def _misbehave(self) -> None:
        if self.hangs:
            await asyncio.sleep(3600)
        if self.fault is not None:
            raise self.fault
