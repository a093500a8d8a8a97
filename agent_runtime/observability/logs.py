"""JSON lines on stderr: sparse, structured, and free of message text, prompts and keys.

Each line that a request gives rise to has its `request_id`, and its `trace_id` where it is traced.
Exceptions are logged as their type and place only, because their texts may quote a request.
"""

import logging
import sys
import traceback
from datetime import UTC, datetime

import orjson

from agent_runtime.observability.tracing import here

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_FRAMES = 5  # enough to find the line; more would drown the log


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object; `extra` fields become keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one JSON line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({k: v for k, v in vars(record).items() if k not in _STANDARD})
        if (place := here.current()) is not None:
            line["request_id"] = place.request_id
            if place.trace_id:
                line["trace_id"] = place.trace_id
            if place.span is not None:
                line["span_id"] = place.span_id
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = place_of(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


def place_of(exc: BaseException) -> str:
    """Return the exception's type and innermost frames, without its text."""
    frames = traceback.extract_tb(exc.__traceback__)[-_FRAMES:]
    places = " < ".join(f"{f.filename.rpartition('/')[2]}:{f.lineno}" for f in reversed(frames))
    return f"{type(exc).__name__} at {places}" if places else type(exc).__name__


def set_up() -> None:
    """Send every log line of the process to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("agent_runtime").setLevel(logging.INFO)
    # Python's own advice for what no line of ours tells: it would be found out for each of them
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    vars(logging)["_srcfile"] = None
    # one warning for each malformed request would let a client fill the disk
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
