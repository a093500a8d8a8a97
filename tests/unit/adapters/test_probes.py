"""/healthz, /readyz and /metrics on one port."""

from __future__ import annotations

import aiohttp

from agentsystem_operator.adapters.metrics import Metrics
from agentsystem_operator.adapters.probes import ProbeServer
from tests.fakes.virtual_time import virtual


async def ask(port: int, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, await answer.text()


@virtual
async def test_what_is_missing_is_named_and_health_does_not_depend_on_it() -> None:
    missing = ["apiserver not reached"]
    notes: list[str] = []
    refreshed: list[int] = []
    server = ProbeServer(
        Metrics(),
        alive=list,
        ready=lambda: missing,
        refresh=lambda: refreshed.append(1),
        notes=lambda: notes,
    )
    port = await server.start("127.0.0.1", 0)
    assert await ask(port, "/healthz") == (200, "ok\n")
    assert await ask(port, "/readyz") == (503, "apiserver not reached\n")
    missing.clear()
    assert await ask(port, "/readyz") == (200, "ok\n")
    notes.append("namespace b is not served")
    assert await ask(port, "/readyz") == (200, "ok\nnamespace b is not served\n")
    status, page = await ask(port, "/metrics")
    assert (status, "agentsystem_queue_depth" in page, refreshed) == (200, True, [1])
    await server.stop()
