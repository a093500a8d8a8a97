"""kopf, as a frame: its watch of AgentSystems feeds the store, and nothing else of it is used.

No handler raises, returns a value or writes; no timers, daemons, indices or peering, so kopf makes
no request of its own beyond its list and watch. The only module that imports kopf.
"""

import asyncio
import inspect
import logging
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import kopf

from agentsystem_operator.adapters.api_client import open_session
from agentsystem_operator.adapters.connection import Connection
from agentsystem_operator.adapters.resources import AGENT_SYSTEM
from agentsystem_operator.shell.store import Store, key_of

LIST_PAGE = 500
IDLE_S = 0.05
"""kopf keeps an object's body for as long after its last event; ours is in the store by then."""
CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0
BACKOFFS_S = (1.0, 2.0, 3.0)
RESTART_S = 2.0
"""kopf gives up on watch errors that it does not know; it is then started anew."""

_KOPF = str(Path(kopf.__file__).parent)

logger = logging.getLogger(__name__)


class Backoffs:
    """Pauses between attempts, endless and iterable again for each request: 1, 2, 3, 3, 3 ..."""

    def __iter__(self) -> Iterator[float]:
        yield from BACKOFFS_S
        while True:
            yield BACKOFFS_S[-1]


class NoDiffs(kopf.DiffBaseStorage):
    """Remembers no last state: there are no change handlers that could need it."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        """Return nothing instead of a deep copy of every object."""
        return {}

    def fetch(self, *, body: Any) -> None:
        """Return no last state."""

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        """Write nothing."""


class NoProgress(kopf.ProgressStorage):
    """Remembers no progress of handlers: they only enqueue."""

    def fetch(self, *, key: Any, body: Any) -> None:
        """Return no progress."""

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        """Write nothing."""

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        """Write nothing."""

    def touch(self, *, body: Any, patch: Any, value: Any) -> None:
        """Write nothing."""

    def clear(self, *, essence: Any) -> Any:
        """Return the essence as it is."""
        return essence


class EverythingElse(Collection[Any]):
    """All tasks but kopf's own, which kopf must not take for its own when it ends."""

    def __contains__(self, task: object) -> bool:
        if not isinstance(task, asyncio.Task):
            return True
        return not _is_kopfs(task)

    def __iter__(self) -> Iterator[Any]:
        return (task for task in asyncio.all_tasks() if task in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def configure(settings: kopf.OperatorSettings) -> None:
    """Switch off all of kopf that would cost requests, writes or memory."""
    settings.persistence.diffbase_storage = NoDiffs()
    settings.persistence.progress_storage = NoProgress()
    settings.watching.chunk_size = LIST_PAGE
    settings.watching.initial_streaming = False
    settings.queueing.idle_timeout = IDLE_S
    settings.queueing.worker_limit = None
    settings.scanning.disabled = True
    settings.networking.error_backoffs = Backoffs()
    settings.networking.connect_timeout = CONNECT_TIMEOUT_S
    settings.networking.request_timeout = REQUEST_TIMEOUT_S
    settings.posting.enabled = False
    settings.peering.standalone = True


class SystemsWatch:
    """kopf's watch of AgentSystems, started anew whenever kopf gives up."""

    def __init__(
        self,
        connection: Connection,
        store: Store,
        *,
        namespaces: Collection[str],
        missed: Callable[[], None],
    ) -> None:
        """Take what is called when events may have been missed: kopf listed anew, or restarted."""
        self._connection = connection
        self._store = store
        self._namespaces = namespaces
        self._missed = missed
        self._sessions: list[aiohttp.ClientSession] = []

    async def run(self, stop: asyncio.Event, *, take_signals_back: Callable[[], None]) -> None:
        """Run until `stop`."""
        while not stop.is_set():
            try:
                await self._run_once(stop, take_signals_back)
            except Exception as exc:  # noqa: BLE001 -- whatever it is, the answer is a restart
                logger.warning(
                    "watch of AgentSystems ended; starting it anew",
                    extra={"reason": type(exc).__name__},
                )
            finally:
                await self._close_sessions()
            if not stop.is_set():
                self._missed()
                await asyncio.sleep(RESTART_S)

    def registry(self) -> kopf.OperatorRegistry:
        """Return kopf's handlers."""
        registry = kopf.OperatorRegistry()
        resource = (AGENT_SYSTEM.group, AGENT_SYSTEM.version, AGENT_SYSTEM.plural)

        @kopf.on.startup(registry=registry)
        async def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
            configure(settings)

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.AiohttpSession:
            session = open_session(self._connection, authenticated=True)
            self._sessions.append(session)
            return kopf.AiohttpSession(server=self._connection.server, aiohttp_session=session)

        @kopf.on.event(*resource, registry=registry)
        async def seen(event: Any, **_: Any) -> None:
            self._see(event["type"], event["object"])

        return registry

    def _see(self, kind: str | None, body: Any) -> None:
        key = key_of(body)
        if kind == "DELETED":
            self._store.remove(key, uid=body["metadata"]["uid"])
            return
        if kind is None and self._store.packed(key) is not None:
            self._missed()
        self._store.put(body)

    async def _run_once(self, stop: asyncio.Event, take_signals_back: Callable[[], None]) -> None:
        tasks = await kopf.spawn_tasks(
            registry=self.registry(),
            settings=kopf.OperatorSettings(),
            clusterwide=not self._namespaces,
            namespaces=list(self._namespaces),
            standalone=True,
            stop_flag=stop,
        )
        # kopf would end alone on SIGTERM; ours drains the workers first. No await lies between
        # kopf taking the signals and this.
        take_signals_back()
        await kopf.run_tasks(tasks, ignored=EverythingElse())

    async def _close_sessions(self) -> None:
        # kopf closes them too, except when it ends while a request is on its way.
        for session in self._sessions:
            await session.close()
        self._sessions.clear()


def complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what broke in a callback of the event loop; two things of kopf's are known and harmless.

    kopf cancels a request that is on its way by looking for the current task in a callback, where
    there is none; the request ends with its session anyway. And when it looks at what the cluster
    serves, with many requests at once, it waits for the first failure and forgets the others.
    """
    exc, future = context.get("exception"), context.get("future")
    if isinstance(exc, AssertionError) and _raised_in(exc).startswith(_KOPF):
        return
    if exc is not None and _is_of_the_api(exc) and _is_kopfs(future):
        logger.info("another request of kopf's failed", extra={"error": type(exc).__name__})
        return
    del loop
    logger.error("callback broke: %s", context.get("message"), exc_info=exc)


def _is_of_the_api(exc: BaseException) -> bool:
    """Say whether the apiserver, or the way to it, is at fault."""
    of_kopf = type(exc).__module__.startswith("kopf.")  # its APIError, which it does not export
    return of_kopf or isinstance(exc, aiohttp.ClientError | OSError)


def _is_kopfs(task: object) -> bool:
    """Say whether a task runs a function of kopf's."""
    code = getattr(task.get_coro(), "cr_code", None) if isinstance(task, asyncio.Task) else None
    return code is not None and inspect.getfile(code).startswith(_KOPF)


def _raised_in(exc: BaseException) -> str:
    last = exc.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last.tb_frame.f_code.co_filename if last is not None else ""
