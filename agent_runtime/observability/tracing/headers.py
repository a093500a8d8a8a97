"""Headers for the endpoint of traces, from a file: they hold the keys that an account asks for.

One `Name: value` a line, as a Secret's key holds it. Read anew for each batch, so that a new key is
used at once; never part of a log line or a message.
"""

import logging
import re

from agent_runtime.secret_files import SecretFile

MAX_HEADERS = 20
_LINE = re.compile(
    r"([A-Za-z0-9][-A-Za-z0-9_]{0,63}):[ \t]*([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)"
)

_log = logging.getLogger(__name__)


class HeaderFile:
    """The file; says once when it is missing and once when it has come."""

    def __init__(self, file: SecretFile) -> None:
        self._file = file
        self._missing = False

    async def read(self) -> dict[str, str] | None:
        """Return the headers as they are now, or None if there are no usable ones."""
        text = await self._file.text()
        headers = None if text is None else parse(text)
        if (headers is None) != self._missing:
            self._missing = headers is None
            say = _log.warning if self._missing else _log.info
            what = "headers for traces missing" if self._missing else "headers for traces found"
            say(what, extra={"origin": self._file.origin})
        return headers


def parse(text: str) -> dict[str, str] | None:
    """Return the headers in a text, or None if there are none or a line is no header."""
    lines = [line for each in text.splitlines() if (line := each.strip())]
    found = [_LINE.fullmatch(line) for line in lines[: MAX_HEADERS + 1]]
    headers = {match[1].lower(): match[2] for match in found if match is not None}
    return headers if 0 < len(headers) == len(lines) <= MAX_HEADERS else None
