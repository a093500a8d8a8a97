"""`monitoring` in the rendered config; where the headers for traces are mounted."""

from typing import Any

from agentsystem_operator.api.monitoring import Otlp

HEADERS = "monitoring.otlp"
"""The directory of the headers among those of the providers' keys: no provider has a dot."""
FILE = "headers"


def of_otlp(otlp: Otlp | None, keys: str) -> dict[str, Any]:
    """Return the section, or nothing where nothing is traced; `keys` is the directory of keys."""
    if otlp is None:
        return {}
    found: dict[str, Any] = {
        "endpoint": otlp.endpoint,
        "samplingRatio": float(otlp.sampling_ratio),
        "captureContent": otlp.capture_content,
    }
    if ref := otlp.headers_secret_ref:
        file = f"{keys}/{HEADERS}/{FILE}"
        found["headers"] = {"file": file, "secretName": ref.name, "secretKey": ref.key}
    return {"monitoring": {"otlp": found}}
