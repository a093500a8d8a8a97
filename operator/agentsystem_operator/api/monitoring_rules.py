"""The rules between the fields of `spec.monitoring`, each once in Python and once in CEL."""

import re
from typing import TYPE_CHECKING

from agentsystem_operator.api.base import Rule, cel_string
from agentsystem_operator.api.rules import BASE_URL_PATTERN

if TYPE_CHECKING:
    from agentsystem_operator.api.monitoring import Otlp

_PATH = "/v1/traces"


def _no_address(otlp: "Otlp") -> str | None:
    return None if re.fullmatch(BASE_URL_PATTERN, otlp.endpoint) else ""


def _has_the_path(otlp: "Otlp") -> str | None:
    return "" if otlp.endpoint.rstrip("/").endswith(_PATH) else None


OTLP = (
    Rule(
        field="endpoint",
        message=(
            "must be http(s)://host[:port][/path] without user, query or fragment;"
            " for example http://collector.observability.svc:4318"
        ),
        cel=f"self.endpoint.matches({cel_string(BASE_URL_PATTERN)})",
        broken=_no_address,
    ),
    Rule(
        field="endpoint",
        message=f"must not end in {_PATH}, which is added; remove that",
        cel=f"!self.endpoint.matches({cel_string(_PATH + '/*$')})",
        broken=_has_the_path,
    ),
)
