"""Server-sent events without I/O: bytes in, the events' data out."""

MAX_EVENT_BYTES = 1 << 20  # no chunk of a chat answer comes near; a hostile endpoint might


class EventTooLong(Exception):  # the condition is the name
    """An event grew past its bound; give the stream up."""


class SseParser:
    """Collects lines into events; keeps at most one unfinished event in memory."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: list[bytes] = []
        self._size = 0

    def feed(self, received: bytes) -> list[bytes]:
        """Return the data of every event that these bytes complete."""
        *lines, self._rest = (self._rest + received).split(b"\n")
        if len(self._rest) + self._size > MAX_EVENT_BYTES:
            raise EventTooLong
        events = (self._line(line.removesuffix(b"\r")) for line in lines)
        return [event for event in events if event is not None]

    def _line(self, line: bytes) -> bytes | None:
        if line.startswith(b"data:"):
            value = line[5:].removeprefix(b" ")
            self._fields.append(value)
            self._size += len(value)
        elif not line and self._fields:
            event = b"\n".join(self._fields)
            self._fields, self._size = [], 0
            return event
        return None  # comments, other fields, blank lines between events
