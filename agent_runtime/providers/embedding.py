"""Which providers of a chain may embed, and vectors that need no model.

Vectors of two models have nothing to do with each other: an index that held both would find
nonsense and nobody would notice. So only the same model may take over, however it is reached.
"""

import array
import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from agent_runtime.providers.base import Json, Provider

DIMENSIONS = 1536
"""When nothing else is asked for, as with OpenAI's small model."""
MAX_DIMENSIONS = 8192
UNSUPPORTED: Json = {"param": "model", "code": "embeddings_not_supported"}
"""What a client is told beside the message."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place of a chain. `model` is empty for a script: all scripts make the same vectors."""

    provider: Provider
    model: str
    embeds: bool
    """Whether the API of its type has embeddings."""


def embedders(chain: Sequence[Place]) -> list[Provider]:
    """Return the first that can embed and those after it that offer the same model, in order.

    Equal names are taken for equal models: openai/m, azure/m, openai/n, anthropic, script gives
    openai/m and azure/m.
    """
    able = [place for place in chain if place.embeds]
    return [place.provider for place in able if place.model == able[0].model]


def vector(content: bytes, dimensions: int) -> "array.array[float]":
    """Return a vector of length 1: equal for equal contents, far from any other's."""
    numbers = array.array("i", hashlib.shake_256(content).digest(4 * dimensions))
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return array.array("f", [number / length for number in numbers])


def written(numbers: "array.array[float]", options: Json) -> list[float] | str:
    """Return a vector as `encoding_format` asks: a list, or base64 of 32-bit floats."""
    if options.get("encoding_format") == "base64":
        return base64.b64encode(numbers).decode()
    return numbers.tolist()
