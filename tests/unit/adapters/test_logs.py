"""Log lines are JSON, carry their fields, and are bounded."""

from __future__ import annotations

import json
import logging

from agentsystem_operator.adapters import logs


def line(message: str, **fields: object) -> dict[str, object]:
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": message, **fields})
    found: dict[str, object] = json.loads(logs.JsonFormatter().format(record))
    return found


def test_fields_are_written_beside_the_message() -> None:
    found = line("decision", system="one", namespace="shop", generation=3, reason="RollingOut")
    assert {name: found[name] for name in ("message", "level", "system", "generation")} == {
        "message": "decision",
        "level": "info",
        "system": "one",
        "generation": 3,
    }


def test_one_record_is_one_line_whatever_it_says() -> None:
    record = logging.makeLogRecord({"msg": "two\nlines"})
    assert "\n" not in logs.JsonFormatter().format(record)


def test_of_endless_attempts_only_the_first_is_logged() -> None:
    """Its attempts are endless, and kopf logs each."""

    def logged(message: str) -> bool:
        return bool(logs.FirstAttempts().filter(logging.makeLogRecord({"msg": message})))

    assert [logged(f"Request attempt #{n} failed; will retry") for n in (1, 2, 11)] == [
        True,
        False,
        False,
    ]
    assert logged("Request attempt")


def test_a_field_is_never_a_whole_body() -> None:
    found = line("x" * 5000, error="y" * 5000)
    assert (len(str(found["message"])), len(str(found["error"]))) == (logs.VALUE_MAX,) * 2


def test_a_broken_watch_is_told_in_one_word_and_a_bug_with_its_traceback() -> None:
    told = []
    reactor = "kopf._core.reactor"
    for logger in (f"{reactor}.orchestration", f"{reactor}.running", "kopf.objects"):
        record = logging.makeLogRecord({"name": logger, "msg": "watcher has failed"})
        record.exc_info = (KeyError, KeyError("x"), None)
        told.append(json.loads(logs.JsonFormatter().format(record)))
    assert [each.get("error") for each in told] == ["KeyError", "KeyError", None]
    assert ["traceback" in each for each in told] == [False, False, True]
