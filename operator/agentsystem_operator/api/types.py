"""The scalar types of the API: each with the bounds and the pattern that the CRD carries.

Patterns must mean the same in three engines (Go's RE2 in the apiserver, Rust's in pydantic, CEL),
so they use explicit classes such as [0-9], no look-around and no shorthand for a class.
Imported by the models; imports no model.
"""

import re
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field, Strict

NAME_PATTERN = "^[a-z](-?[a-z0-9])*$"
SUBDOMAIN_PATTERN = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
# Neither ".", ".." nor anything that starts with "..": a key becomes a file name in a volume.
KEY_PATTERN = "^([-_a-zA-Z0-9]|[.][-_a-zA-Z0-9])[-._a-zA-Z0-9]*$"
# With at most 20 characters in all, no such duration overflows what Go and CEL can hold.
DURATION_PATTERN = "^([0-9]{1,6}(ms|s|m|h))+$"
CPU_PATTERN = "^[0-9]{1,9}([.][0-9]{1,3}|m)?$"
BYTES_PATTERN = "^[0-9]{1,15}(k|M|G|T|Ki|Mi|Gi|Ti)?$"
STORAGE_SIZE_PATTERN = "^[1-9][0-9]{0,14}(k|M|G|T|Ki|Mi|Gi|Ti)?$"
ENV_NAME_PATTERN = "^[A-Za-z_][A-Za-z0-9_]*$"
IMAGE_PATTERN = "^[a-zA-Z0-9][-a-zA-Z0-9._:/@]*$"
MODEL_PATTERN = "^[a-zA-Z0-9][-a-zA-Z0-9._:/@+~]*$"
LABEL_KEY_PATTERN = (
    "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    "[a-zA-Z0-9]([-a-zA-Z0-9_.]{0,61}[a-zA-Z0-9])?$"
)
LABEL_VALUE_PATTERN = "^([a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?)?$"
HEADER_VALUE_PATTERN = "^[!-~]([ -~]*[!-~])?$"
USD_PATTERN = "^[0-9]{1,6}([.][0-9]{1,6})?$"
RATIO_PATTERN = "^(0([.][0-9]{1,6})?|1([.]0{1,6})?)$"
API_VERSION_PATTERN = "^[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?$"
PORT_NAME_PATTERN = "^([0-9]+-)*[0-9]*[a-z](-?[a-z0-9])*$"
_HEX = "[0-9a-fA-F]{1,4}"
# Eight groups, or fewer around one "::"; at most seven groups stand beside it.
IPV6 = "|".join(
    [
        f"({_HEX}:){{7}}{_HEX}",
        f"({_HEX}:){{1,7}}:",
        *(f"({_HEX}:){{1,{before}}}(:{_HEX}){{1,{7 - before}}}" for before in range(1, 7)),
        f":((:{_HEX}){{1,7}}|:)",
    ]
)
HOST = "[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?"
HOST_PATTERN = f"^({HOST}|{IPV6})$"
IDENTIFIER_PATTERN = "^[a-zA-Z_][-a-zA-Z0-9_.@$]*$"

# What each pattern asks for, in the words of a message to the author of the resource.
PATTERN_MEANS: dict[str, str] = {
    NAME_PATTERN: "must be lower-case letters, digits and single '-', starting with a letter",
    SUBDOMAIN_PATTERN: "must be an object's name (lower-case letters, digits, '-', '.')",
    KEY_PATTERN: "must be a key of a ConfigMap or Secret (letters, digits, '-', '_', '.')",
    DURATION_PATTERN: "must be a duration such as 500ms, 30s or 1h30m",
    CPU_PATTERN: "must be an amount of CPU such as 2, 0.5 or 250m",
    BYTES_PATTERN: "must be an amount of bytes such as 512Mi or 2Gi",
    STORAGE_SIZE_PATTERN: "must be a positive amount of bytes such as 1Gi",
    ENV_NAME_PATTERN: "must be letters, digits and '_', not starting with a digit",
    IMAGE_PATTERN: "must be an image reference such as registry.example/agent-runtime:1.0",
    MODEL_PATTERN: "must be a model's name without blanks, such as gpt-4o-mini",
    LABEL_KEY_PATTERN: "must be a label key such as team or example.com/team",
    LABEL_VALUE_PATTERN: "must be a label value (letters, digits, '-', '_', '.'; at most 63)",
    HEADER_VALUE_PATTERN: "must be printable ASCII without blanks at its ends",
    USD_PATTERN: (
        'must be an amount of USD in quotes such as "2.50", with up to 6 digits before and after'
        " the point"
    ),
    RATIO_PATTERN: "must be a number from 0 to 1 such as 0.05, in quotes",
    API_VERSION_PATTERN: "must be a version of Azure's API such as 2024-10-21",
    PORT_NAME_PATTERN: "must be a port number or the name of a container port",
    HOST_PATTERN: "must be a DNS name or an IP address, without a port",
    IDENTIFIER_PATTERN: "must be letters, digits, '_', '-', '.', '@', '$', starting with a letter",
}

Int32 = Annotated[int, Strict()]
Bool = Annotated[bool, Strict()]

Name = Annotated[str, Field(max_length=40, pattern=NAME_PATTERN)]
AgentName = Annotated[str, Field(max_length=20, pattern=NAME_PATTERN)]
ObjectName = Annotated[str, Field(max_length=253, pattern=SUBDOMAIN_PATTERN)]
DataKey = Annotated[str, Field(max_length=253, pattern=KEY_PATTERN)]
Image = Annotated[str, Field(max_length=512, pattern=IMAGE_PATTERN)]
ModelName = Annotated[str, Field(max_length=200, pattern=MODEL_PATTERN)]
EnvName = Annotated[str, Field(max_length=128, pattern=ENV_NAME_PATTERN)]
HeaderValue = Annotated[str, Field(max_length=512, pattern=HEADER_VALUE_PATTERN)]
Headers = Annotated[dict[str, HeaderValue], Field(max_length=20, default_factory=dict)]
ApiVersion = Annotated[str, Field(max_length=18, pattern=API_VERSION_PATTERN)]
Duration = Annotated[str, Field(max_length=20, pattern=DURATION_PATTERN)]
StorageSize = Annotated[str, Field(max_length=18, pattern=STORAGE_SIZE_PATTERN)]
# Whole numbers may be written without quotes, as everywhere in Kubernetes.
Cpu = (
    Annotated[int, Strict(), Field(ge=0, le=999_999_999)]
    | Annotated[str, Field(max_length=13, pattern=CPU_PATTERN)]
)
Bytes = (
    Annotated[int, Strict(), Field(ge=0, le=999_999_999_999_999)]
    | Annotated[str, Field(max_length=17, pattern=BYTES_PATTERN)]
)
Port = (
    Annotated[int, Strict(), Field(ge=1, le=65535)]
    | Annotated[str, Field(max_length=15, pattern=PORT_NAME_PATTERN)]
)
LabelKey = Annotated[str, Field(max_length=253, pattern=LABEL_KEY_PATTERN)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE_PATTERN)]


class Tier(StrEnum):
    """How much the system matters; it chooses defaults, and each of them can be overridden."""

    DEVELOPMENT = "Development"
    TESTING = "Testing"
    STAGING = "Staging"
    PRODUCTION = "Production"


class SessionStore(StrEnum):
    """Where the turns of a conversation are kept."""

    MEMORY = "Memory"
    SQLITE = "SQLite"
    REDIS = "Redis"
    POSTGRES = "Postgres"


class AuthType(StrEnum):
    """How callers say who they are."""

    NONE = "None"
    API_KEY = "APIKey"
    JWT = "JWT"


class ProviderType(StrEnum):
    """What answers: a script of one's own, or an endpoint, by the API that it speaks."""

    SCRIPTED = "Scripted"
    OPENAI = "OpenAI"
    ANTHROPIC = "Anthropic"


_DURATION_PART = re.compile("([0-9]+)(ms|s|m|h)")
_DURATION_UNIT = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
}
_QUANTITY = re.compile("([0-9.]+)([a-zA-Z]*)")
_QUANTITY_UNIT = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGT", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGT", start=1)},
}


def timedelta_of(duration: str) -> timedelta:
    """Return the length of a Go-style duration: "1h30m" is 90 minutes.

    Raises ValueError for anything that the pattern of `Duration` refuses.
    """
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(PATTERN_MEANS[DURATION_PATTERN])
    parts = _DURATION_PART.findall(duration)
    return sum((int(count) * _DURATION_UNIT[unit] for count, unit in parts), timedelta())


def amount_of(quantity: int | str) -> Decimal:
    """Return a Kubernetes quantity as a number of its base unit: "250m" is 0.25, "1Ki" is 1024."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None or match[2] not in _QUANTITY_UNIT:
        raise ValueError("must be a Kubernetes quantity such as 250m or 1Gi")
    return Decimal(match[1]) * _QUANTITY_UNIT[match[2]]
