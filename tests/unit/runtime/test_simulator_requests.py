"""Requests of any shape get an answer of the simulator, and end in its counts."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.simulator import openai_wire
from agent_runtime.simulator.delivery import Delivery
from agent_runtime.simulator.exchange import Request
from agent_runtime.simulator.faults import Control
from agent_runtime.simulator.simulation import Simulation

CHAT, MESSAGES, EMBEDDINGS = "/v1/chat/completions", "/v1/messages", "/v1/embeddings"
HEADERS = {b"x-api-key": "k", b"anthropic-version": "2023-06-01"}
USER = {"role": "user", "content": "hello"}
GOOD = {"model": "m", "messages": [USER], "max_tokens": 9}
FIELDS = (
    "model", "messages", "max_tokens", "max_completion_tokens", "stream", "stream_options", "tools",
    "tool_choice", "response_format", "system", "input", "dimensions", "encoding_format",
    "cache_control",
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 3000) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "role", "content", "text", "name", "function", "parameters", "input_schema",
             "properties", "enum", "anyOf", "items", "json_schema", "schema", "tool_calls", "input"]
        ),
        inner | st.sampled_from(["object", "array", "json_schema", "json_object", "tool", "any"]),
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


def simulated() -> Simulation:
    return Simulation(Control.model_validate({}), clock=lambda: 0.0, wall=lambda: 0.0)


def post(path: str, body: Any, provider: Simulation | None = None) -> Delivery:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    provider = provider or simulated()
    return provider.handle(Request("POST", path, dict(HEADERS), content))


@given(
    path=st.sampled_from([CHAT, MESSAGES, EMBEDDINGS]),
    changes=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4),
)
def test_a_body_of_any_shape_is_answered_or_refused(path: str, changes: dict[str, Any]) -> None:
    provider = simulated()
    found = post(path, GOOD | changes, provider)
    assert found.status in (200, 400)
    for _ in found.pieces:
        pass
    assert found.ticket is not None
    found.ticket.refused()
    assert provider.counts.in_flight == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b'"x"', b"\xff"])
@pytest.mark.parametrize("path", [CHAT, MESSAGES, EMBEDDINGS])
def test_what_is_no_object_is_refused(path: str, body: bytes) -> None:
    assert post(path, body).status == 400


def test_a_fault_of_ours_is_logged_by_its_place_and_told_as_500(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_body: Any) -> Any:
        raise RuntimeError("my prompt")

    monkeypatch.setattr(openai_wire, "embeddings", broken)
    assert post(EMBEDDINGS, {"model": "m"}).status == 500
    [record] = caplog.records
    assert record.getMessage() == "request failed"
    assert "my prompt" not in str(vars(record))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", CHAT, 404), ("DELETE", CHAT, 405), ("POST", "/v1/models", 404), ("GET", "/", 404),
     ("GET", "/health", 200), ("GET", "/v1/models", 200), ("GET", "/v1/models/x", 200)],
)  # fmt: skip
def test_other_requests(method: str, path: str, status: int) -> None:
    assert simulated().handle(Request(method, path)).status == status


def test_ids_differ_between_requests_and_processes() -> None:
    provider = simulated()
    found = [post(CHAT, GOOD, each) for each in (provider, provider, simulated())]
    assert len({orjson.loads(each.opening)["id"] for each in found}) == 3
    assert len({dict(each.headers)[b"x-request-id"] for each in found}) == 3
