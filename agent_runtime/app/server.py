"""Runs the runtime in a process: sockets, signals, drain.

Drain, in this order: readiness fails at once; everybody who still comes is served and asked to
reconnect elsewhere; when nothing has come for a moment, or the grace period ends, the listeners
close; whoever is still waiting is told so; exit 0.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn

from agent_runtime import listening
from agent_runtime.app import limits
from agent_runtime.app.admission import Admission
from agent_runtime.app.application import Application
from agent_runtime.app.build import runtime
from agent_runtime.app.config_file import Surroundings
from agent_runtime.app.contract import Config
from agent_runtime.app.protocol import BoundedProtocol

_TICK_SECONDS = 0.05
_COLLECT_AFTER = (10_000, 20, 20)
"""Objects more than there were, then collections of each age: requests leave hardly any cycles."""
_STATE_AUTH = (
    "whoever reaches this port may ask anything; set spec.guard.auth.type to APIKey or JWT"
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listeners:
    """Bound sockets; port 0 in `bind` lets the kernel choose."""

    api: socket.socket
    metrics: socket.socket


def bind(host: str, port: int, metrics_port: int) -> Listeners:
    """Return both listening sockets, or raise `CannotListen` that names the address."""
    return Listeners(listening.bound(host, port), listening.bound(host, metrics_port))


class EmbeddedServer(uvicorn.Server):
    """uvicorn without its signal handlers: they re-raise the signal, and the exit code with it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def embedded(app: Application, *, grace_s: float) -> EmbeddedServer:
    """Return a server for one application; `should_exit` ends it within `grace_s` seconds."""
    return EmbeddedServer(
        uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=limits.BACKLOG,
            timeout_keep_alive=limits.KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=grace_s,  # type: ignore[arg-type]  # a float serves as well
        )
    )


async def serve(config: Config, surroundings: Surroundings, listeners: Listeners) -> None:
    """Serve until SIGTERM or SIGINT, drain, and return."""
    async with runtime(config, surroundings) as parts:
        servers = {
            embedded(parts.api, grace_s=limits.DRAIN_MARGIN_SECONDS): listeners.api,
            embedded(parts.metrics, grace_s=0.1): listeners.metrics,
        }
        for listener in servers.values():
            listener.listen(limits.BACKLOG)  # the log may say so, before the servers have begun
        with _signals() as stop:
            async with asyncio.TaskGroup() as group:
                for server, listener in servers.items():
                    group.create_task(server.serve(sockets=[listener]))
                if config.guard is None or config.guard.auth is None:
                    _log.warning("nobody is authenticated", extra={"fix": _STATE_AUTH})
                _log.info("serving", extra=_fields(config, listeners))
                _settle_memory()
                await stop.asked()
                await _drain(parts.admission, surroundings.grace_seconds, stop)
                for server in servers:
                    server.should_exit = True
    _log.info("stopped", extra={"system": config.system})


def _settle_memory() -> None:
    """Keep what lives as long as the process out of the collector's sight: pauses get short."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def _fields(config: Config, listeners: Listeners) -> dict[str, object]:
    return {
        "system": config.system,
        "namespace": config.namespace,
        "agents": [agent.name for agent in config.agents],
        "address": listening.address_of(listeners.api),
        "metrics_address": listening.address_of(listeners.metrics),
    }


async def _drain(admission: Admission, grace_s: float, stop: "_Stop") -> None:
    """Return when nobody needs us any more, at the latest shortly before the grace period ends."""
    loop = asyncio.get_running_loop()
    asked_at = loop.time()
    admission.drain()
    _log.info("draining", extra={"in_flight": admission.in_flight})
    deadline = asked_at + max(0.0, grace_s - 2 * limits.DRAIN_MARGIN_SECONDS)
    # after Ctrl-C nobody's list of endpoints lags behind
    quiet_s = 0.0 if stop.by_hand else limits.DRAIN_QUIET_SECONDS
    while (now := loop.time()) < deadline and not stop.impatient:
        quiet_since = max(asked_at, admission.last_request_at)
        if not admission.in_flight and now - quiet_since >= quiet_s:
            return
        await asyncio.sleep(_TICK_SECONDS)
    _log.warning("cutting off", extra={"cut_off": admission.in_flight})
    admission.cut_off()


class _Stop:
    """Remembers the signals that asked us to stop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.by_hand = False  # Ctrl-C
        self.impatient = False  # a second signal: do not wait for running answers

    def ask(self, number: signal.Signals) -> None:
        self.impatient = self._event.is_set()
        self.by_hand = number is signal.SIGINT
        self._event.set()

    async def asked(self) -> None:
        await self._event.wait()


@contextlib.contextmanager
def _signals() -> Iterator[_Stop]:
    loop, stop = asyncio.get_running_loop(), _Stop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop.ask, number)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            # we are on our way out: whoever asks again must not break the closing of the store
            signal.signal(number, signal.SIG_IGN)
