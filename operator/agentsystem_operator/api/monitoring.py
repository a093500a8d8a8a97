"""`spec.monitoring`: how the agents are seen from outside, beside their metrics and logs."""

from typing import Annotated, ClassVar

from pydantic import Field

from agentsystem_operator.api import monitoring_rules, types
from agentsystem_operator.api.base import ApiModel
from agentsystem_operator.api.kubernetes import KeyReference


class Otlp(ApiModel):
    """Where traces go: an endpoint of OpenTelemetry's protocol over HTTP, as protobuf."""

    endpoint: Annotated[str, Field(max_length=512)]
    """Address of a collector or a service, http or https; /v1/traces is added to it. Agents may
    connect to it."""
    headers_secret_ref: KeyReference | None = None
    """Secret key that holds headers to send along, one "Name: value" a line: the keys that an
    account asks for. Absent sends none."""
    sampling_ratio: Annotated[str, Field(max_length=8, pattern=types.RATIO_PATTERN)] = "1"
    """Part of the requests that are traced, 0 to 1, where callers do not say it themselves by
    traceparent."""
    capture_content: types.Bool = False
    """True puts messages into traces, with placeholders for what spec.guard.pii finds."""

    RULES: ClassVar = monitoring_rules.OTLP


class Monitoring(ApiModel):
    """How the agents are seen from outside."""

    otlp: Otlp | None = None
    """Where traces go; absent: nothing is traced."""
