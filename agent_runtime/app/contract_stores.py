"""`stores` of the rendered config (v1.1): the servers that the replicas of a system share."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from agent_runtime.app.contract_types import SecretPlace
from agent_runtime.problems import Strict

_HOST = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError("is not a host; write a DNS name or an address, without a port")
    return text


Host = Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_host)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Identifier = Annotated[str, Field(min_length=1, max_length=63)]


class RedisEntry(Strict):
    """A Redis server."""

    host: Host
    port: Port = 6379
    tls: bool = False
    password: SecretPlace | None = None


class PostgresEntry(Strict):
    """A database on a PostgreSQL server."""

    host: Host
    port: Port = 5432
    database: Identifier
    user: Identifier
    tls: bool = False
    password: SecretPlace | None = None


class StoresEntry(Strict):
    """What is there only if something of the config uses it."""

    redis: RedisEntry | None = None
    postgres: PostgresEntry | None = None
