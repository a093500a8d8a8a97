"""Structured logging: one JSON object per line on standard error.

Extra fields of a record are written as they are; no code of ours passes bodies, prompts or keys.
"""

import logging
import re
import sys
from datetime import UTC, datetime

import orjson

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_FRAMEWORK = frozenset({"settings", "k8s_skip", "k8s_ref"})
"""What kopf attaches to its records for itself; the reference is flattened below."""
_WATCHERS = frozenset({"kopf._core.reactor.orchestration", "kopf._core.reactor.running"})
"""Who tell that a watch of kopf's ended by an error of the apiserver's: it is started anew, and
where in kopf that came up helps nobody."""
VALUE_MAX = 1000
"""Characters of one field: enough for a refusal, too little for a body."""


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _bounded(record.getMessage()),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in _FRAMEWORK:
                line[name] = _bounded(value)
        if record.exc_info and record.exc_info[0] is not None:
            kind = record.exc_info[0].__name__
            if record.name in _WATCHERS:
                line["error"] = kind
            else:
                line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class FirstAttempts(logging.Filter):
    """Drops what kopf says of the second and every later attempt of a request, which never end."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is news."""
        found = _ATTEMPT.match(str(record.msg))
        return found is None or found[1] == "1"


_ATTEMPT = re.compile("Request attempt #([0-9]+)")


def configure(level: str) -> None:
    """Send everything to standard error as JSON; frameworks speak up from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(FirstAttempts())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("agentsystem_operator").setLevel(level.upper())
    logging.getLogger("kopf").setLevel(logging.WARNING)


def _bounded(value: object) -> object:
    return value[:VALUE_MAX] if isinstance(value, str) else value
