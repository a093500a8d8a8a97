"""What every store has in common: how it says that it is away, and where its keys begin."""

import logging
from collections.abc import Callable

_log = logging.getLogger(__name__)


class StoreUnavailable(Exception):  # the condition is the name
    """The store has not acknowledged what it was asked; try again later.

    A server that went away before it answered may have done it nevertheless.
    """


def scope(namespace: str, system: str) -> str:
    """Return what every stored key of a system starts with; "-": no cluster is configured."""
    return f"-/{namespace}/{system}"


class Availability:
    """Whether a server can be used; one log line and one call of `changed` for each change."""

    def __init__(self, store: str, changed: Callable[[bool], None]) -> None:
        self._store = store
        self._changed = changed
        self._known: bool | None = None  # nobody has asked yet
        self.why = "not asked yet"

    @property
    def is_away(self) -> bool:
        """Whether the last attempt to use the server failed."""
        return self._known is False

    def came(self) -> None:
        """Note that the server answers."""
        if self._known is not True:
            _log.info("store can be used", extra={"store": self._store})
            self._known = True
            self._changed(True)

    def went(self, why: str) -> None:
        """Note that the server does not answer; `why` names a condition, never a value."""
        self.why = why
        if self._known is not False:
            _log.warning("store cannot be used", extra={"store": self._store, "why": why})
            self._known = False
            self._changed(False)
