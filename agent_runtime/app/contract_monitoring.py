"""The part `monitoring` of the rendered config (v1.1): where traces go."""

from typing import Annotated

from pydantic import Field

from agent_runtime.app.contract_types import SecretPlace, Url
from agent_runtime.problems import Strict


class OtlpEntry(Strict):
    """An endpoint that takes traces: OTLP over HTTP, as protobuf."""

    endpoint: Url
    headers: SecretPlace | None = None
    sampling_ratio: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        1.0, alias="samplingRatio"
    )
    capture_content: bool = Field(False, alias="captureContent")


class MonitoringEntry(Strict):
    """How the process is seen from outside, beside its metrics and its log."""

    otlp: OtlpEntry | None = None
