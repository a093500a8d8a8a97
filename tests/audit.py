"""What the apiserver's own audit log says that a user did."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MUTATING = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Request:
    """One request, as the apiserver saw it complete or, a watch, begin."""

    received: datetime
    at: datetime
    verb: str
    resource: str
    """Plural, with the subresource behind a slash."""
    namespace: str
    name: str
    code: int

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.namespace}/{self.name} -> {self.code}"


def log(cluster: str) -> Path:
    """Return the path of the apiserver's audit log."""
    command = [sys.executable, "-m", "devcluster", "audit-log", "--name", cluster]
    path = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Path(path.strip())


def requests(cluster: str, *, user: str, start: int = 0) -> Iterator[Request]:
    """Yield the requests of a user, oldest first, from a position (bytes) in the log on."""
    needle = json.dumps(user).encode()
    with log(cluster).open("rb") as lines:
        lines.seek(start)
        for line in lines:
            if needle not in line or not line.endswith(b"\n"):
                continue
            event = json.loads(line)
            if event["user"]["username"] == user and event["stage"] == "ResponseComplete":
                yield _request(event)


def writes(cluster: str, *, user: str, namespace: str) -> list[Request]:
    """Mutating requests in one namespace, whatever their outcome."""
    return [
        request
        for request in requests(cluster, user=user)
        if request.verb in MUTATING and request.namespace == namespace
    ]


def restless(cluster: str, *, user: str, for_s: float, start: int = 0) -> list[Request]:
    """Requests of the last `for_s` seconds other than those that a resting operator may make.

    Allowed are its Lease, the reconnects of watches, and the metadata-only sweep (I3).
    """
    since = datetime.now(UTC) - timedelta(seconds=for_s)
    return [
        request
        for request in requests(cluster, user=user, start=start)
        if request.at >= since
        and request.verb != "watch"
        and request.resource != "leases"
        and (request.verb, request.resource) != ("list", "agentsystems")
    ]


def _request(event: dict[str, object]) -> Request:
    ref = event.get("objectRef") or {}
    status = event.get("responseStatus") or {}
    assert isinstance(ref, dict)
    assert isinstance(status, dict)
    sub = f"/{ref['subresource']}" if ref.get("subresource") else ""
    return Request(
        received=datetime.fromisoformat(str(event["requestReceivedTimestamp"])),
        at=datetime.fromisoformat(str(event["stageTimestamp"])),
        verb=str(event["verb"]),
        resource=f"{ref.get('resource', event['requestURI'])}{sub}",
        namespace=str(ref.get("namespace", "")),
        name=str(ref.get("name", "")),
        code=int(status.get("code", 0)),
    )
