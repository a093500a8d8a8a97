"""Hashes of JSON-like values: how the operator tells equal intents apart from changed ones.

Everything may import this. Must stay stable for ever: a changed hash is a rolled pod.
"""

from hashlib import blake2b
from typing import Any

import orjson

REVISION_BYTES = 5
"""10 hexadecimal digits: what still fits a name of 63 beside a system of 30 and an agent of 20."""
INTENT_BYTES = 16


def of(value: Any, *, size: int = INTENT_BYTES) -> str:
    """Return the blake2b hash, in hexadecimal, of a value made of JSON types; key order is moot."""
    return blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=size).hexdigest()


def revision(value: Any) -> str:
    """Return the short hash that names a revision."""
    return of(value, size=REVISION_BYTES)
