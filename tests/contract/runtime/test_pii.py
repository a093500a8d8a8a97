"""The corpus through a real runtime, with a provider over real sockets: nothing gets out.

Whoever reads what the provider was asked, the session's database, the log, the metrics or the
traces with their content finds placeholders; callers get their originals back.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent_runtime.simulator.connection import Connections
from agent_runtime.simulator.delivery import Delivery
from agent_runtime.simulator.exchange import Request
from agent_runtime.simulator.faults import Control
from agent_runtime.simulator.simulation import Simulation
from tests.contract.runtime import serving, simulated
from tests.contract.runtime.collector import collecting, exporting
from tests.pii import corpus

AT_ONCE = 8
TURNS = 5  # of one session
KINDS = ("Email", "Phone", "IDCard", "BankCard", "IPAddress", "Passport")


@dataclass
class Provider:
    """A simulator that writes down what it was asked."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)

    def last_words(self) -> list[str]:
        """Return the newest message of each request."""
        return [json.loads(body)["messages"][-1]["content"] for body in self.bodies]


@asynccontextmanager
async def provider(answers: dict[str, Any] | None = None) -> AsyncIterator[Provider]:
    simulation = Simulation(Control.model_validate({"answers": answers} if answers else {}))
    found = Provider()

    def handle(request: Request) -> Delivery:
        found.bodies.append(request.body)
        return simulation.handle(request)

    async with simulated.listening(Connections(handle, simulation.count_status)) as found.url:
        yield found


def config(url: str, folder: Path, *, restore: bool) -> dict[str, Any]:
    (folder / "key").write_text("a key of many characters")
    document = serving.openai_config(f"{url}/v1")
    return document | {
        "contract": "v1.1",
        "sessions": {"store": "SQLite", "path": str(folder / "sessions.db"), "maxTurns": 1000},
        "guard": {
            "pii": {
                "key": {"file": str(folder / "key")},
                "kinds": [{"kind": k, "policy": "Mask", "restore": restore} for k in KINDS],
                "patterns": [{"name": "employee", "pattern": "EMP-\\d{4,6}", "policy": "Hash"}],
            }
        },
    }


@dataclass
class Traces:
    """All that is left of a run."""

    metrics: str = ""
    log: str = ""
    database: bytes = b""
    exported: bytes = b""

    def hold(self, value: str) -> list[str]:
        """Return where a value can be read."""
        raw = value.encode()
        found = [name for name in ("metrics", "log") if value in getattr(self, name)]
        return [*found, *(n for n in ("database", "exported") if raw in getattr(self, n))]


class Run:
    """A runtime that is being asked."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http
        self.asked = 0

    async def ask(self, text: str, session: str | None, *, stream: bool = False) -> str:
        """Return the text of the answer."""
        self.asked += 1
        headers = {"x-session-id": session} if session else {}
        body = {"messages": [{"role": "user", "content": text}], "stream": stream}
        url = f"{self.url}/v1/chat/completions"
        async with self._http.post(url, json=body, headers=headers) as response:
            raw = await response.text()
            assert response.status == 200, raw
        if not stream:
            return str(json.loads(raw)["choices"][0]["message"]["content"])
        events = [line.removeprefix("data: ") for line in raw.splitlines() if line]
        assert events[-1] == "[DONE]", raw
        deltas = [json.loads(event)["choices"][0]["delta"] for event in events[:-1]]
        return "".join(delta.get("content") or "" for delta in deltas)


@asynccontextmanager
async def traced(document: dict[str, Any], folder: Path) -> AsyncIterator[tuple[Run, Traces]]:
    """Run a process that exports all it can; its traces are filled in when the block ends."""
    traces = Traces()
    async with collecting() as collector:
        document = exporting(document, collector.url, captureContent=True)
        async with _running(document, folder, traces) as run:
            yield run, traces
        traces.exported = collector.raw
    answers = [span for span in collector.spans if span.events]
    assert len(answers) == run.asked, "not all that was said has been exported"


@asynccontextmanager
async def _running(document: dict[str, Any], folder: Path, traces: Traces) -> AsyncIterator[Run]:
    with serving.process(document, folder) as running:
        log = asyncio.create_task(asyncio.to_thread(running.log))  # a full pipe would stop it
        async with aiohttp.ClientSession() as http:
            yield Run(running.url, http)
            async with http.get(running.metrics_url) as response:
                traces.metrics = await response.text()
        traces.database = _bytes_in(folder)
        running.terminate()
        traces.log = await log
    assert "agent_requests_total" in traces.metrics
    assert traces.database.startswith(b"SQLite format 3")


def _bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("sessions.db*")))


async def in_sessions(run: Run, asked: Sequence[str]) -> list[str]:
    """Ask in sessions of five turns each, several at once; every other turn is a stream."""
    limit = asyncio.Semaphore(AT_ONCE)
    answers = [""] * len(asked)

    async def session(first: int) -> None:
        async with limit:
            for place in range(first, min(first + TURNS, len(asked))):
                name = f"s{first}"
                answers[place] = await run.ask(asked[place], name, stream=place % 2 == 1)

    async with asyncio.TaskGroup() as group:
        for first in range(0, len(asked), TURNS):
            group.create_task(session(first))
    return answers


async def test_nothing_of_what_callers_say_gets_out_and_they_get_it_back(tmp_path: Path) -> None:
    cases = corpus.cases()
    echo = {"default": "You said: {message}"}
    async with (
        provider(echo) as there,
        traced(config(there.url, tmp_path, restore=True), tmp_path) as (run, traces),
    ):
        answers = await in_sessions(run, [case.text for case in cases])
    assert len(there.bodies) == len(cases)
    seen = b"\n".join(there.bodies).decode()
    leaks = [
        (case.id, place)
        for case in cases
        for _, value in case.values
        for place in (*(["provider"] if value in seen else []), *traces.hold(value))
    ]
    assert leaks == []
    assert traces.log.count("personal data found") == len(cases)
    back = [(c.id, a) for c, a in zip(cases, answers, strict=True) if a != f"You said: {c.text}"]
    assert back == []


async def test_nothing_of_what_a_model_says_gets_out(tmp_path: Path) -> None:
    """Its answers come in tokens, and the database keeps what the caller gets: placeholders."""
    cases = corpus.cases(seed=7, count=100)
    rules = [{"match": f"^case {c.id}$", "answer": c.text} for c in cases]
    async with (
        provider({"rules": rules}) as there,
        traced(config(there.url, tmp_path, restore=False), tmp_path) as (run, traces),
    ):
        answers = await in_sessions(run, [f"case {case.id}" for case in cases])
    leaks = [
        (case.id, place)
        for case, answer in zip(cases, answers, strict=True)
        for _, value in case.values
        for place in (*(["caller"] if value in answer else []), *traces.hold(value))
    ]
    assert leaks == []
    marks = [len(re.findall(r"<[A-Z_]+_\d+>", answer)) for answer in answers]
    assert marks == [len(case.values) for case in cases]


async def test_clean_texts_reach_the_provider_as_they_are(tmp_path: Path) -> None:
    texts = corpus.clean()
    async with (
        provider() as there,
        traced(config(there.url, tmp_path, restore=True), tmp_path) as (run, _),
    ):
        for text in texts:
            await run.ask(text, None)
    changed = [t for t, said in zip(texts, there.last_words(), strict=True) if t != said]
    assert len(changed) <= 0.02 * len(texts), changed


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_blocked_is_refused_by_its_kind(tmp_path: Path, stream: bool) -> None:
    async with provider({"default": "Call 13800138000."}) as there:
        document = config(there.url, tmp_path, restore=False)
        document["guard"]["pii"]["kinds"] = [{"kind": "Phone", "policy": "Block"}]
        async with serving.serving(document) as served, aiohttp.ClientSession() as http:
            url = f"{served.url}/v1/chat/completions"
            said = []
            for text in ("I am 13900139000", "hello"):
                body = {"messages": [{"role": "user", "content": text}], "stream": stream}
                async with http.post(url, json=body) as response:
                    said.append((response.status, await response.text()))
            metrics = await served.metrics()
    (asked_status, asked), (answered_status, answered) = said
    assert asked_status == 400
    assert '"personal_data_blocked"' in asked
    assert "of kind Phone" in asked
    # what was said before the number is on its way already: a stream ends with an error's frame
    assert answered_status == (200 if stream else 502)
    assert '"answer_blocked"' in answered
    assert len(there.bodies) == 1
    assert re.findall("1[38][0-9]{9}", asked + answered) == []
    for side in ("request", "answer"):
        assert f'agent_pii_found_total{{kind="Phone",policy="Block",side="{side}"}} 1.0' in metrics


async def test_without_a_key_the_runtime_says_so_and_asks_nobody(tmp_path: Path) -> None:
    async with provider() as there:
        document = config(there.url, tmp_path, restore=True)
        (tmp_path / "key").unlink()
        async with serving.serving(document) as served, aiohttp.ClientSession() as http:
            url = f"{served.url}/v1/chat/completions"
            body = {"messages": [{"role": "user", "content": "hi"}]}
            async with http.post(url, json=body) as response:
                assert response.status == 503
                assert (await response.json())["error"]["code"] == "pii_key_missing"
                assert response.headers["x-should-retry"] == "false"
            assert "agent_pii_key_missing 1.0" in await served.metrics()
    assert there.bodies == []
