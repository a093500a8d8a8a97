"""The channel's Secret in memory; it can be missing, fail, and be changed by others."""

from __future__ import annotations

from agentsystem_operator import ports


class FakeSecret:
    """Implements `ports.AuthoritySecret`."""

    def __init__(self) -> None:
        self.texts: dict[str, str] | None = {}
        """None: it was not installed."""
        self.fault: Exception | None = None
        self.calls: list[str] = []
        self.rival: dict[str, str] | None = None
        """What somebody else writes between our next read and write."""

    async def read(self) -> ports.SecretTexts:
        self.calls.append("read")
        if self.fault:
            raise self.fault
        if self.texts is None:
            raise ports.Gone("404 Not Found")
        return ports.SecretTexts(dict(self.texts))

    async def write(self, content: ports.SecretTexts) -> None:
        self.calls.append("write")
        if self.rival is not None:
            self.texts, self.rival = self.rival, None
            raise ports.ConflictLost("409 Conflict")
        self.texts = dict(content.texts)
