"""Many AgentSystems at once: made, edited and removed by a client that is not the bottleneck.

Bench system: one agent, replicas as said, sessions in memory, one scripted provider. They live in
namespaces of 100. Requests go out a bounded number at a time.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp

from tests import builders
from tests.kube import PATHS, Kube, Object, administrator, is_true

PER_NAMESPACE = 100
AT_ONCE = 16
"""Requests in flight: what one apiserver on two cores answers well."""
ON_FAKE_NODES = {"tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}]}
SYSTEMS = "/apis/agentsystem.dev/v1alpha1/agentsystems"
LINE_MAX = 4 * 1024 * 1024
T = TypeVar("T")


class NotSettled(AssertionError):
    """The systems did not get there within the bound."""


class Population:
    """Bench systems number 0 to n - 1, and a session to make them with."""

    def __init__(self, kube: Kube, http: aiohttp.ClientSession) -> None:
        self._kube = kube
        self._http = http
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.namespaces: list[str] = []

    async def each(self, items: Iterable[T], do: Callable[[T], Awaitable[None]]) -> None:
        """Do something for each item, a bounded number at a time."""

        async def one(item: T) -> None:
            async with self._slots:
                await do(item)

        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(one(item))

    def make_room(self, systems: int) -> None:
        """Make the namespaces that so many systems need."""
        self.namespaces = [f"bench-{n}" for n in range(-(-systems // PER_NAMESPACE))]
        for name in self.namespaces:
            self._kube.apply(builders.namespace(name))

    async def create(self, numbers: Iterable[int], *, replicas: int = 1) -> None:
        """Create systems of one agent."""
        await self.each(numbers, lambda number: self._create(number, replicas))

    async def _create(self, number: int, replicas: int) -> None:
        name, ns = place(number)
        body = builders.system(
            name, ns, agents=[builders.agent(replicas=replicas)], runtime=ON_FAKE_NODES
        )
        await self.send("POST", PATHS["AgentSystem"].format(ns=ns), body)

    async def edit(self, number: int, spec: Object) -> str:
        """Change fields of a system's spec; returns the new resource version."""
        name, ns = place(number)
        path = f"{PATHS['AgentSystem'].format(ns=ns)}/{name}"
        answer = await self.send("PATCH", path, {"spec": spec})
        return str(answer["metadata"]["resourceVersion"])

    async def delete(self, numbers: Iterable[int]) -> None:
        """Delete systems; their children go by garbage collection."""

        async def one(number: int) -> None:
            name, ns = place(number)
            await self.send("DELETE", f"{PATHS['AgentSystem'].format(ns=ns)}/{name}")

        await self.each(numbers, one)

    async def send(
        self, method: str, path: str, body: Object | str = "", *, kind: str = ""
    ) -> Object:
        """Send one request and return the answer; anything but success is an error."""
        kind = kind or ("merge-patch+json" if method == "PATCH" else "json")
        headers = {"Content-Type": f"application/{kind}"}
        content = body if isinstance(body, str) else json.dumps(body)
        async with self._http.request(method, path, data=content, headers=headers) as got:
            answer: Object = await got.json()
            if not got.ok:
                raise AssertionError(f"{method} {path}: {got.status} {answer.get('message')}")
            return answer

    async def settled(self, systems: int, *, within_s: float) -> float:
        """Return the monotonic time at which so many systems had a current status.

        The operator writes it after the children, so they are all applied by then.
        """
        return await self._reached(systems, is_current, within_s=within_s)

    async def ready(self, systems: int, *, within_s: float) -> float:
        """Return the monotonic time at which so many systems were Ready."""
        return await self._reached(systems, lambda body: is_true(body, "Ready"), within_s=within_s)

    async def _reached(
        self, systems: int, test: Callable[[Object], bool], *, within_s: float
    ) -> float:
        # Watched, not listed: looking costs the apiserver next to nothing.
        passed: set[str] = set()
        try:
            async with asyncio.timeout(within_s):
                while True:  # the apiserver ends a watch that falls behind
                    passed.clear()
                    async for event in self._watch():
                        body = event["object"]
                        name = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
                        if event["type"] != "DELETED" and test(body):
                            passed.add(name)
                        else:
                            passed.discard(name)
                        if len(passed) >= systems:
                            return time.monotonic()
        except TimeoutError:
            raise NotSettled(f"{len(passed)} of {systems} systems in {within_s:g} s") from None

    async def _watch(self) -> AsyncIterator[Object]:
        query = {"watch": "1", "timeoutSeconds": "3600"}
        forever = aiohttp.ClientTimeout(total=None)
        async with self._http.get(SYSTEMS, params=query, timeout=forever) as stream:
            while line := await stream.content.readline():
                yield json.loads(line)


def place(number: int) -> tuple[str, str]:
    """Return the name and the namespace of a bench system."""
    return f"s{number}", f"bench-{number // PER_NAMESPACE}"


def is_current(system: Object) -> bool:
    """Say whether the operator has taken note of the newest spec."""
    seen: Any = (system.get("status") or {}).get("observedGeneration")
    return bool(seen == system["metadata"]["generation"])


@asynccontextmanager
async def population(kube: Kube) -> AsyncIterator[Population]:
    """Open a session with the administrator's rights."""
    server, tls = administrator(kube.kubeconfig)
    connector = aiohttp.TCPConnector(ssl=tls, limit=2 * AT_ONCE)
    async with aiohttp.ClientSession(server, connector=connector, read_bufsize=LINE_MAX) as http:
        yield Population(kube, http)
