"""The smaller context of a degraded answer: instructions stay, the oldest messages go. Pure."""

from collections.abc import Sequence

from agent_runtime.cost import estimate
from agent_runtime.providers.base import Json

KEPT_TOKENS = 2_000
"""About three pages of conversation: enough to go on, and a tenth of what a long one costs."""
_INSTRUCTIONS = frozenset({"system", "developer"})


def shorten(messages: Sequence[Json]) -> Sequence[Json]:
    """Return the conversation without its oldest messages, or itself if it is short.

    It begins with a user's message, since models refuse the result of a call that they do not see;
    from the newest of those on everything is kept, however long it is.
    """
    begin = _begin(messages)
    if not any(message.get("role") not in _INSTRUCTIONS for message in messages[:begin]):
        return messages
    return [
        message
        for place, message in enumerate(messages)
        if place >= begin or message.get("role") in _INSTRUCTIONS
    ]


def _begin(messages: Sequence[Json]) -> int:
    """Return the place of the oldest user's message from which on all fits."""
    begin, size = 0, 0.0
    found = False
    for place in range(len(messages) - 1, -1, -1):
        message = messages[place]
        if message.get("role") in _INSTRUCTIONS:
            continue
        size += estimate.of_message(message)
        if found and size > KEPT_TOKENS:
            return begin
        if message.get("role") == "user":
            begin, found = place, True
    return begin
