"""An answer as it is kept, and the shelf of this process: bounded by entries and bytes.

The least recently used go first.
"""

from collections import OrderedDict
from dataclasses import dataclass

import orjson

from agent_runtime.providers.base import Answer, Json

MAX_BYTES = 32 << 20
"""Of all answers together; a small pod has 256 MiB."""
MAX_ANSWER_BYTES = 256 << 10
"""Of one: some 60,000 tokens, more than a model writes as one answer."""
OVERHEAD_BYTES = 400
"""What an entry takes besides its body: key, objects, links."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that is good until then; in wall-clock time, since pods share it."""

    until: float
    body: bytes

    def answer(self) -> Answer:
        """Return the answer; raise ValueError or KeyError if it is none."""
        message, usage = orjson.loads(self.body)
        return Answer({"role": "assistant", **message}, "stop", usage)

    @property
    def size(self) -> int:
        """What it takes in memory."""
        return len(self.body) + OVERHEAD_BYTES


def remembered(answer: Answer) -> Answer:
    """Return an answer as it is given to others.

    The tokens are those that the provider counted; as those of the prompt did not reach a model
    again, they count as read from a cache, and none as written to one.
    """
    details = {"cached_tokens": answer.usage.get("prompt_tokens", 0)}
    usage: Json = {**answer.usage, "prompt_tokens_details": details}
    return Answer(answer.message, answer.finish_reason, usage)


def written(answer: Answer) -> bytes | None:
    """Return the body of an answer, None if it is too large."""
    message = {key: value for key, value in answer.message.items() if key != "role"}
    body = orjson.dumps((message, answer.usage))
    return body if len(body) <= MAX_ANSWER_BYTES else None


class Shelf:
    """Answers by key."""

    def __init__(self, *, max_entries: int, max_bytes: int = MAX_BYTES) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[bytes, Kept] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Kept | None:
        """Return an answer, and count it as used."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: bytes, kept: Kept) -> int:
        """Keep an answer; return how many others had to go for it."""
        self.drop(key)
        self._entries[key] = kept
        self.bytes += kept.size
        gone = 0
        while len(self._entries) > self._max_entries or self.bytes > self._max_bytes:
            self.drop(next(iter(self._entries)))
            gone += 1
        return gone

    def drop(self, key: bytes) -> None:
        """Let an answer go, if it is there."""
        found = self._entries.pop(key, None)
        if found is not None:
            self.bytes -= found.size
