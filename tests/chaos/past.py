"""A frozen view of the past: lists as they were at one moment, and watches that tell nothing.

What a stale apiserver or a restored store shows. Reads of single objects and writes are not frozen:
an apiserver answers those from the store itself, which is why the operator asks again for one
object before it acts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

Key = tuple[str, str, str]
"""Path, label selector and accepted media type of a list."""


@dataclass(frozen=True, slots=True)
class Past:
    """What the lists showed at one moment."""

    lists: Mapping[Key, bytes]


@dataclass(slots=True)
class View:
    """What the operator is shown: the present, or one past until it is thawed."""

    past: Past | None = None
    present: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.present.set()

    def freeze(self, past: Past) -> None:
        """Show that past from now on."""
        self.past = past
        self.present.clear()

    def thaw(self) -> None:
        """Show the present; watches go on from the version that they asked for."""
        self.past = None
        self.present.set()

    def listed(self, request: web.BaseRequest) -> bytes | None:
        """Return what a list shows while the view is frozen, None for what is asked live."""
        return None if self.past is None else self.past.lists.get(key_of(request))


def key_of(request: web.BaseRequest) -> Key:
    """Return what tells one list from another."""
    selector = request.query.get("labelSelector", "")
    return (request.path, selector, request.headers.get("Accept", ""))
