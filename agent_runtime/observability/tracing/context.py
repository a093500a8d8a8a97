"""W3C trace context: what `traceparent` and `tracestate` of a request say, and what we send on.

Both come from outside: what is not exactly as the recommendation has it counts as absent.
"""

import random
import re
from dataclasses import dataclass

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
_MAX_STATE = 512
"""Characters of `tracestate` that have to be passed on; a longer one is dropped."""
_MAX_MEMBERS = 32
_SAMPLED = 1
_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_KEY = r"([a-z][-_*/a-z0-9]{0,255}|[a-z0-9][-_*/a-z0-9]{0,240}@[a-z][-_*/a-z0-9]{0,13})"
_MEMBER = re.compile(_KEY + r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")
_RANDOM_BITS = 56
"""The part of a trace id that is random by the recommendation's second level, and sampled by."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The span that a request comes from; ids are hexadecimal."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""


def parse(parent: str | None, state: str | None) -> Parent | None:
    """Return where a request comes from, or None if nothing valid says so."""
    found = _PARENT.fullmatch(parent) if parent is not None and len(parent) <= _MAX_STATE else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    # later versions may add something; 00 ends here and ff never is a version
    if version == "ff" or (version == "00" and more):
        return None
    if not int(trace_id, 16) or not int(span_id, 16):
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED), _state(state))


def _state(text: str | None) -> str:
    """Return the state as it is passed on, empty if it is none."""
    if not text or len(text) > _MAX_STATE:
        return ""
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    keys = {member.partition("=")[0] for member in members}
    if len(members) > _MAX_MEMBERS or len(keys) < len(members):
        return ""
    return ",".join(members) if all(map(_MEMBER.fullmatch, members)) else ""


def written(trace_id: str, span_id: str, *, sampled: bool) -> str:
    """Return the value of `traceparent`."""
    return f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}"


def new_trace_id() -> str:
    """Return a trace id; zero is none."""
    return f"{random.getrandbits(128) or 1:032x}"


def new_span_id() -> str:
    """Return a span id; zero is none."""
    return f"{random.getrandbits(64) or 1:016x}"


def is_chosen(trace_id: str, ratio: float) -> bool:
    """Return whether a trace that begins here is recorded: the same everywhere for one ratio.

    0.25 records the ids whose last 56 bits are in the highest quarter.
    """
    chance = int(trace_id[-_RANDOM_BITS // 4 :], 16)
    return chance >= (1.0 - ratio) * (1 << _RANDOM_BITS)
