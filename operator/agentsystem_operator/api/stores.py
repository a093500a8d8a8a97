"""Servers that the replicas of a system share: spec.stores.

Imported by the spec; what uses which server is told in `decide.stores`.
"""

from typing import Annotated

from pydantic import Field

from agentsystem_operator.api import types
from agentsystem_operator.api.base import ApiModel
from agentsystem_operator.api.kubernetes import KeyReference

PortNumber = Annotated[int, types.Strict(), Field(ge=1, le=65535)]
Host = Annotated[str, Field(max_length=253, pattern=types.HOST_PATTERN)]
Identifier = Annotated[str, Field(max_length=63, pattern=types.IDENTIFIER_PATTERN)]


class Redis(ApiModel):
    """A Redis server; no Redis Cluster."""

    host: Host
    """Name or address of the server, without a port."""
    port: PortNumber = 6379
    """Its port."""
    tls: types.Bool = False
    """True speaks TLS, and checks that the certificate is for the host."""
    password_secret_ref: KeyReference | None = None
    """Secret key that holds the password; absent sends none."""


class Postgres(ApiModel):
    """A database on a PostgreSQL server."""

    host: Host
    """Name or address of the server, without a port."""
    port: PortNumber = 5432
    """Its port."""
    database: Identifier
    """The database; the agents keep what is theirs in its schema agentsystem."""
    user: Identifier
    """Who asks it; must own the schema agentsystem, or be allowed to create it."""
    tls: types.Bool = False
    """True speaks TLS, and checks that the certificate is for the host."""
    password_secret_ref: KeyReference | None = None
    """Secret key that holds the password; absent sends none."""


class Stores(ApiModel):
    """Servers that are there already and that all pods of the system use."""

    redis: Redis | None = None
    """A Redis server; required by session store Redis and by a budget of several pods, and where
    limits of providers and of callers, and answers of the cache, are shared."""
    postgres: Postgres | None = None
    """A PostgreSQL database; required by session store Postgres."""
