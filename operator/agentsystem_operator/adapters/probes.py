"""The operator's own small HTTP server: /healthz, /readyz and /metrics on one port."""

from collections.abc import Callable, Sequence

from aiohttp import web

from agentsystem_operator.adapters.metrics import Metrics

SHUTDOWN_S = 1.0
"""Nobody waits for an answer of ours for longer when we end."""


class ProbeServer:
    """Serves health, readiness and metrics."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        alive: Callable[[], Sequence[str]],
        ready: Callable[[], Sequence[str]],
        refresh: Callable[[], None],
        notes: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """Take functions that return what is wrong; nothing wrong is 200.

        `alive` must never depend on a remote service (I19). `notes` are shown by a replica that
        is ready nevertheless: a namespace that is missing must not stop a rollout of ours.
        """
        self._metrics = metrics
        self._alive = alive
        self._ready = ready
        self._refresh = refresh
        self._notes = notes
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which differs from the given one when that is 0."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._page)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return _answer(self._alive())

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(self._ready(), notes=self._notes())

    async def _page(self, _: web.Request) -> web.Response:
        self._refresh()
        return web.Response(
            body=self._metrics.page(), headers={"Content-Type": "text/plain; version=0.0.4"}
        )


def _answer(wrong: Sequence[str], *, notes: Sequence[str] = ()) -> web.Response:
    lines = wrong or ("ok", *notes)
    return web.Response(status=503 if wrong else 200, text="\n".join(lines) + "\n")
