"""Who asks: decided once, where a request enters the system, and carried with it from there.

A value without dependencies, so that every layer may name it. It is never built from what a client
says about itself.
"""

from dataclasses import dataclass
from enum import StrEnum


class Priority(StrEnum):
    """Who is served first when there is more to do than can be done."""

    VIP = "VIP"  # before everybody else
    NORMAL = "Normal"
    LOW = "Low"  # when nobody else waits, and its small share otherwise


class Role(StrEnum):
    """What a principal may do; `roles` has the endpoints that each one opens."""

    CHAT = "Chat"  # ask agents, and see which there are
    MODELS = "Models"  # see which agents there are


ALL_ROLES = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller: the id of its key or the subject of its token, and what that stands for.

    `tenant` separates sessions, limits, cache and cost; the empty one is everybody's where nobody
    is asked who they are.
    """

    id: str
    tenant: str
    roles: frozenset[Role]
    priority: Priority


ANONYMOUS = Principal("", "", ALL_ROLES, Priority.NORMAL)
"""Everybody, where nobody is authenticated."""
