"""Talking to a system from outside, through the apiserver's proxy to its Service."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.kube import Kube


def ask(
    kube: Kube, ns: str, system: str, text: str, *, session: str = "", model: str = "", **more: Any
) -> httpx.Response:
    """Send one message, with more of OpenAI's fields, to a system's entry; return the answer."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text}], **more}
    if model:
        body["model"] = model
    return kube.http.post(
        f"/api/v1/namespaces/{ns}/services/{system}:http/proxy/v1/chat/completions",
        content=json.dumps(body),
        headers=_headers(session),
    )


def _headers(session: str) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if session:
        headers["X-Session-Id"] = session
    return headers


def answer(response: httpx.Response) -> str:
    """Return the text of a good answer."""
    assert response.status_code == httpx.codes.OK, response.text
    text: str = response.json()["choices"][0]["message"]["content"]
    return text
