"""Reads a rendered config, or tells everything that is wrong with it at once.

Unknown keys of a newer minor version are ignored inside a cluster (the operator may be newer than
a pinned image) and refused on a laptop, where they are spelling mistakes.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent_runtime import documents
from agent_runtime.app import references
from agent_runtime.app.contract import CONTRACT, CONTRACT_MAJOR, CONTRACT_MINOR, Config
from agent_runtime.problems import Invalid, Problem, join_path, problems_of
from agent_runtime.providers import script

DEFAULT_GRACE_SECONDS = 25.0  # of a pod's 30: the rest is for the kernel and the kubelet
_GRACE = "AGENT_GRACE_SECONDS"
_CHANNEL = "AGENT_CHANNEL"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the process's environment says about where it runs."""

    in_cluster: bool
    grace_seconds: float
    state_home: Path
    channel: Path | None = None
    """The folder with what the channel to the operator takes; None: there is none."""

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "Surroundings":
        """Return the surroundings; raise `Invalid` for a bad AGENT_GRACE_SECONDS."""
        home = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME") or "/tmp") / ".local/state")  # noqa: S108  # no home: a scratch container
        channel = env.get(_CHANNEL, "")
        return cls(
            in_cluster="KUBERNETES_SERVICE_HOST" in env,
            grace_seconds=_grace(env.get(_GRACE, "")),
            state_home=Path(home),
            channel=Path(channel) if channel else None,
        )


def _grace(text: str) -> float:
    if not text:
        return DEFAULT_GRACE_SECONDS
    if not re.fullmatch(r"\d{1,4}(\.\d+)?", text):
        fix = "set seconds from 0 to 9999, or unset it"
        raise Invalid([Problem(f"environment {_GRACE}", "is not a number of seconds", fix)])
    return float(text)


def load(path: Path, surroundings: Surroundings) -> Config:
    """Return the config in a file; raise `Invalid` with every problem in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        what = f"cannot be read ({exc.strerror})"
        raise Invalid([Problem(str(path), what, "give the path of a rendered config")]) from exc
    except UnicodeDecodeError as exc:
        raise Invalid([Problem(str(path), "is not UTF-8 text", "save it as UTF-8")]) from exc
    return parse(documents.parse_json_or_yaml(text), surroundings)


def parse(document: Any, surroundings: Surroundings) -> Config:  # a JSON edge
    """Return the config in a document; raise `Invalid` with every problem in it."""
    if not isinstance(document, dict):
        raise Invalid([Problem("(whole file)", "is no object", "write a rendered config")])
    minor = _minor(document.get("contract"))
    lenient = surroundings.in_cluster and minor > CONTRACT_MINOR
    config, problems = _validate(document, ignore_unknown=lenient)
    problems += references.check(document)
    problems += _script_problems(document)
    problems += _path_problems(document, surroundings)
    if problems or config is None:
        raise Invalid(problems)
    return config


def _minor(contract: object) -> int:
    fix = f"write {CONTRACT}, or run an image of that version"
    found = re.fullmatch(r"v(\d{1,4})\.(\d{1,4})", contract) if isinstance(contract, str) else None
    if found is None:
        raise Invalid([Problem("contract", "is missing or not of the form v1.0", fix)])
    if int(found[1]) != CONTRACT_MAJOR:
        what = f"{contract} is another major version than {CONTRACT}"
        raise Invalid([Problem("contract", what, fix)])
    return int(found[2])


def _validate(
    document: dict[str, Any], *, ignore_unknown: bool
) -> tuple[Config | None, list[Problem]]:
    try:
        return Config.model_validate(document), []
    except ValidationError as exc:
        unknown = [e["loc"] for e in exc.errors() if e["type"] == "extra_forbidden"]
        if not (ignore_unknown and unknown):
            return None, problems_of(exc, known=f"contract {CONTRACT}")
    for location in unknown:
        _remove(document, location)
        _log.warning("unknown config key ignored", extra={"path": join_path("", location)})
    return _validate(document, ignore_unknown=False)


def _remove(document: Any, location: tuple[int | str, ...]) -> None:
    for step in location[:-1]:
        document = document[step]
    del document[location[-1]]


def _script_problems(document: dict[str, Any]) -> list[Problem]:
    problems: list[Problem] = []
    providers = document.get("providers")
    for number, provider in enumerate(providers if isinstance(providers, list) else ()):
        section = provider.get("scripted") if isinstance(provider, dict) else None
        answers = section.get("answers") if isinstance(section, dict) else None
        if isinstance(answers, str):
            try:
                script.parse(answers, path=f"providers[{number}].scripted.answers")
            except Invalid as exc:
                problems += exc.problems
    return problems


def _path_problems(document: dict[str, Any], surroundings: Surroundings) -> list[Problem]:
    sessions = document.get("sessions")
    if not surroundings.in_cluster or not isinstance(sessions, dict):
        return []
    if sessions.get("store") != "SQLite" or sessions.get("path") is not None:
        return []
    return [Problem("sessions.path", "is missing", "name a file on the mounted volume")]
