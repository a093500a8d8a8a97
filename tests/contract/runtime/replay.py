"""Replays the exchanges that config/contract keeps against a runtime in a process of its own.

Later minors may add to an answer, so everything expected must be there, and nothing more is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.contract.runtime import serving

CONTRACT = serving.REPOSITORY / "config/contract"
EXAMPLES = sorted(CONTRACT.glob("v*/*.json"))
# Whoever is not the entry's laptop runs in a cluster, where a newer minor's keys are let pass.
IN_CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
_MASKS: Mapping[str, type[Any] | tuple[type[Any], ...]] = {"<text>": str, "<number>": (int, float)}
PATIENCE_S = 60.0


def name_of(example: Path) -> str:
    """Return how a test calls an example."""
    return f"{example.parent.name}/{example.name}"


def answers_to(example: Path) -> dict[str, Any]:
    """Return what was answered by the version that released an example."""
    found: dict[str, Any] = json.loads((example.parent / "answers" / example.name).read_text())
    return found


def differences(expected: Any, actual: Any, at: str = "$") -> Iterator[str]:
    """Yield where an answer is not as expected; what nobody expects is no difference."""
    if isinstance(expected, str) and expected in _MASKS:
        if not isinstance(actual, _MASKS[expected]):
            yield f"{at}: {actual!r} is no {expected}"
    elif isinstance(expected, dict) and isinstance(actual, dict):
        yield from _of_maps(expected, actual, at)
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for index, value in enumerate(expected):
            yield from differences(value, actual[index], f"{at}[{index}]")
    elif expected != actual:
        yield f"{at}: {actual!r} is not {expected!r}"


def _of_maps(expected: Mapping[str, Any], actual: Mapping[str, Any], at: str) -> Iterator[str]:
    for key, value in expected.items():
        if key in actual:
            yield from differences(value, actual[key], f"{at}.{key}")
        else:
            yield f"{at}.{key}: missing"


def prepared(example: Path, folder: Path, upstream: str = "") -> dict[str, Any]:
    """Return an example that can run here: files in `folder`, an endpoint that answers."""
    document: dict[str, Any] = json.loads(example.read_text())
    if "path" in document.get("sessions", {}):
        document["sessions"]["path"] = str(folder / "sessions.db")
    for server in document.get("stores", {}).values():
        server.update(host="127.0.0.1", port=1)  # nobody is there
    for provider in document["providers"]:
        endpoint = provider.get("openAI") or provider.get("anthropic") or {}
        if "apiKey" in endpoint:
            endpoint["apiKey"]["file"] = str(folder / "no-key")
        elif upstream and endpoint:
            endpoint["baseURL"] = f"{upstream}/v1"
    if pii := document.get("guard", {}).get("pii"):
        (folder / "pii-key").write_text("a key of many characters")
        pii["key"]["file"] = str(folder / "pii-key")
    if keys := document.get("guard", {}).get("auth", {}).get("apiKeys"):
        keys["file"] = str(folder / "callers")
        (folder / "callers").write_text(answers_to(example)["callers"])
    return document


@asynccontextmanager
async def upstream_of(answers: Mapping[str, Any]) -> Any:
    """Serve what a model endpoint answers, if the example has one that can be reached."""
    said = answers.get("upstream", {}).get("answer", {})
    async with serving.upstream(serving.answer(200, said)) as found:
        yield found


async def replay(
    example: Path, folder: Path, *, tree: Path = serving.REPOSITORY
) -> tuple[int, list[str]]:
    """Return how many exchanges there were with the runtime of `tree`, and all differences."""
    answers = answers_to(example)
    env = {} if example.name == "laptop.json" else IN_CLUSTER
    async with upstream_of(answers) as upstream:
        document = prepared(example, folder, upstream.url)
        with serving.process(document, folder, tree=tree, HOME=str(folder), **env) as running:
            async with httpx.AsyncClient(base_url=running.url, timeout=PATIENCE_S) as http:
                found = [
                    f"exchange {number}: {difference}"
                    for number, exchange in enumerate(answers["exchanges"])
                    for difference in await _exchanged(http, exchange)
                ]
        if "upstream" in answers:
            (asked,) = upstream.requests
            told = answers["upstream"]
            found += differences(told["request"], asked["body"], "upstream")
            wanted = {name: told[name] for name in ("path", "headers") if name in told}
            found += differences(wanted, asked, "upstream")
    return len(answers["exchanges"]), found


async def _exchanged(http: httpx.AsyncClient, exchange: Mapping[str, Any]) -> list[str]:
    request = exchange["request"]
    answer = await http.request(
        request.get("method", "POST"),
        request.get("path", "/v1/chat/completions"),
        json=request.get("body"),
        headers=request.get("headers"),
    )
    found = list(differences(exchange["status"], answer.status_code, "status"))
    if "stream" in exchange:
        return found + list(differences(exchange["stream"], _streamed(answer.text), "stream"))
    return found + list(differences(exchange["answer"], answer.json()))


def _streamed(text: str) -> str:
    """Return what a stream said in all; one that does not end with [DONE] said nothing."""
    events = [line.removeprefix("data: ") for line in text.splitlines() if line]
    if not events or events[-1] != "[DONE]":
        return ""
    choices = [choice for event in events[:-1] for choice in json.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)
