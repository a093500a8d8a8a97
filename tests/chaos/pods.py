"""Pods that become ready without any node, so that rollouts end where the cluster has none.

A pod that was never scheduled may be given a status like any other. On a cluster with nodes, real
or simulated, their kubelets do it and this is not started.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import aiohttp

from tests.chaos.admin import MERGE, Admin, Refused

EVERY_S = 0.5
OURS = "agentsystem.dev/system"


class ReadyPods:
    """Makes every pod of an agent ready, shortly after it appeared."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            # While the apiserver is away, or when a pod went meanwhile, there is a next time.
            with suppress(aiohttp.ClientError, OSError, TimeoutError, Refused):
                await self._once()
            await asyncio.sleep(EVERY_S)

    async def _once(self) -> None:
        pods = await self._admin.call("GET", f"/api/v1/pods?labelSelector={OURS}")
        waiting = [pod for pod in (pods or {}).get("items", []) if not _is_ready(pod)]
        await asyncio.gather(*(self._make_ready(pod) for pod in waiting))

    async def _make_ready(self, pod: dict[str, Any]) -> None:
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status"
        # Without the time of its change a condition never counts as available.
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": now}
            for kind in ("Ready", "ContainersReady")
        ]
        await self._admin.call(
            "PATCH",
            path,
            {
                "metadata": {"uid": meta["uid"]},
                "status": {"phase": "Running", "conditions": conditions},
            },
            kind=MERGE,
        )


def _is_ready(pod: dict[str, Any]) -> bool:
    if "deletionTimestamp" in pod["metadata"]:
        return True
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
