"""The cluster as chaos cases see it: the administrator's HTTPS, asynchronous, past every proxy."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import yaml

from tests.chaos.proxy import Upstream
from tests.kube import PATHS, NotReached, Object

T = TypeVar("T")
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
CALL_S = 60.0
BAD, NOT_FOUND, TOO_MANY = 400, 404, 429
ATTEMPTS_MAX = 30
"""One a second: a kind is set up long before."""


class Refused(AssertionError):
    """The apiserver did not do what a case asked of it."""


class Admin:
    """A client with the rights of the cluster's administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server = str(cluster["server"])
        self.ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=self.ca)
        with tempfile.NamedTemporaryFile("wb", suffix=".pem") as chain:
            for part in ("client-certificate-data", "client-key-data"):
                chain.write(base64.b64decode(user[part]) + b"\n")
            chain.flush()
            self._tls.load_cert_chain(chain.name)
        self._http: aiohttp.ClientSession | None = None

    def upstream(self) -> Upstream:
        """Return the apiserver for a proxy, which has no rights of its own."""
        return Upstream(self.server, ssl.create_default_context(cadata=self.ca))

    async def close(self) -> None:
        """Close all connections."""
        if self._http is not None:
            await self._http.close()

    async def call(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json"
    ) -> Object | None:
        """Return the answer, None for 404; raises Refused for any other that is bad.

        Asked to come again (a kind that is only being set up answers so), it does.
        """
        for _ in range(ATTEMPTS_MAX):
            status, content = await self._once(method, path, body, kind)
            if status != TOO_MANY:
                break
            await asyncio.sleep(1)
        if status == NOT_FOUND:
            return None
        if status >= BAD:
            raise Refused(f"{method} {path}: {status} {content[:500]!r}")
        found: Object = json.loads(content)
        return found

    async def _once(self, method: str, path: str, body: Any, kind: str) -> tuple[int, bytes]:
        async with self.http.request(
            method,
            self.server + path,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": kind},
        ) as answer:
            return answer.status, await answer.read()

    async def get(self, kind: str, name: str, ns: str = "") -> Object | None:
        """Return an object, or None when there is none of that name."""
        return await self.call("GET", f"{PATHS[kind].format(ns=ns)}/{name}")

    async def list(self, kind: str, ns: str, *, labels: str = "") -> list[Object]:
        """Return the objects of a namespace, selected by labels."""
        found = await self.call("GET", f"{PATHS[kind].format(ns=ns)}?labelSelector={labels}")
        items: list[Object] = found["items"] if found else []
        return items

    async def apply(self, body: Mapping[str, Any], *, manager: str = "tester") -> Object:
        """Server-side apply."""
        meta = body["metadata"]
        path = f"{_path(body['kind']).format(ns=meta.get('namespace', ''))}/{meta['name']}"
        found = await self.call(
            "PATCH", f"{path}?fieldManager={manager}&force=true", body, kind=APPLY
        )
        assert found is not None
        return found

    async def patch(self, kind: str, name: str, ns: str, change: Mapping[str, Any]) -> None:
        """JSON merge patch."""
        await self.call("PATCH", f"{PATHS[kind].format(ns=ns)}/{name}", change, kind=MERGE)

    async def delete(self, kind: str, name: str, ns: str = "") -> None:
        """Delete with background propagation; gone already is fine."""
        options = {"propagationPolicy": "Background"}
        await self.call("DELETE", f"{PATHS[kind].format(ns=ns)}/{name}", options)

    @property
    def http(self) -> aiohttp.ClientSession:
        """The session, made on first use since it wants a running loop."""
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._tls),
                timeout=aiohttp.ClientTimeout(total=CALL_S),
            )
        return self._http


_MORE_PATHS = {
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings",
}


def _path(kind: str) -> str:
    return PATHS.get(kind) or _MORE_PATHS[kind]


async def eventually(
    what: str, look: Callable[[], Awaitable[T]], *, within_s: float, every_s: float = 0.25
) -> T:
    """Return the first truthy value that `look` gives; NotReached, with the last, otherwise."""
    deadline = time.monotonic() + within_s
    while True:
        seen = await look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise NotReached(f"not within {within_s:g} s: {what}; last seen: {seen!r}")
        await asyncio.sleep(every_s)
