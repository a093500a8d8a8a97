"""Connections that were recorded with each released minor, replayed against both halves."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent_runtime.channel import link
from agent_runtime.channel import report as wire
from agent_runtime.channel.folder import Address, Credentials
from agentsystem_operator.adapters.channel import authority, messages
from agentsystem_operator.api.reasons import BudgetState
from agentsystem_operator.model.heard import Load, Said
from agentsystem_operator.shell.clock import SystemClock
from tests.contract.channel import rig
from tests.contract.channel.rig import HOST, Role, Signer

FOLDER = Path(__file__).resolve().parents[3] / "config/contract/channel"
RECORDED = sorted(FOLDER.glob("v*/*.ndjson"))
LEADER = "10.0.0.7:8443"


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def lines_of(path: Path, side: str) -> list[dict[str, Any]]:
    lines = path.read_text().splitlines()
    return [json.loads(line[1:]) for line in lines if line.startswith(side)]


def test_every_minor_up_to_this_one_has_its_recordings() -> None:
    minor = int(messages.PROTOCOL.removeprefix("v1."))

    assert {path.parent.name for path in RECORDED} == {f"v1.{n}" for n in range(minor + 1)}
    assert wire.PROTOCOL == messages.PROTOCOL


@pytest.mark.parametrize("path", RECORDED, ids=name_of)
async def test_the_operator_understands_a_recorded_pod(path: Path, signer: Signer) -> None:
    away = any(line["type"] == "redirect" for line in lines_of(path, "<"))
    role = Role(may_write=not away, leader_address=LEADER if away else "")
    async with rig.operator(signer, role=role) as operator, rig.pod(operator) as pod:
        for line in lines_of(path, ">"):
            if line["type"] == "hello":
                token = line["token"].replace("<token>", signer.token())
                assert await pod.greet(token) == lines_of(path, "<")[0]
            else:
                pod.say(line)
        reports = [line for line in lines_of(path, ">") if line["type"] == "report"]
        await operator.ear.until(lambda: len(operator.ear.reports) == len(reports))

        heard = [(load, said) for _, load, said in operator.ear.reports]
        assert heard == [(_load(report), _said(report)) for report in reports]


def _load(report: dict[str, Any]) -> Load:
    said = report["load"]
    return Load(
        said.get("inFlight"),
        said.get("queueDepth"),
        said.get("oldestSeconds"),
        said.get("ratePerSecond"),
        said.get("p95Seconds"),
        said.get("tokensPerSecond"),
        said.get("sessions"),
        said.get("saturation"),
    )


def _said(report: dict[str, Any]) -> Said:
    """Read a report without the code that is tested."""
    choice, statement = rig.choice, rig.statement
    return Said(
        {
            p["name"]: statement(**{k: p[k] for k in p if k in _PROVIDER})
            for p in report["providers"]
        },
        {r["name"]: choice(**{k: r[k] for k in r if k in _ROUTE}) for r in report["routes"]},
        BudgetState[report["budget"]["state"].upper()] if "budget" in report else None,
    )


_PROVIDER, _ROUTE = ("state", "reason", "recent"), ("active", "recent")


@pytest.mark.parametrize("path", RECORDED, ids=name_of)
@pytest.mark.usefixtures("_names")
async def test_a_pod_understands_a_recorded_operator(path: Path) -> None:
    """What the operator said then comes from a server that can say nothing else."""
    said = lines_of(path, "<")
    by = authority.make(SystemClock().now())
    context, _ = authority.server_context(by, [HOST], SystemClock().now())
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.write(b"".join(json.dumps(line).encode() + b"\n" for line in said))
        await writer.drain()
        heard.append(await reader.readline())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        tls = rig.trusting(by.certificate_pem)
        outcome = await _outcome(Credentials(Address(HOST, port), tls, "token"))

    wanted = {"welcome": "reported", "redirect": LEADER, "refused": said[0].get("reason")}
    assert outcome == wanted[said[0]["type"]]
    assert json.loads(heard[0]) == {"type": "hello", "channel": wire.PROTOCOL, "token": "token"}


async def _outcome(credentials: Credentials) -> str:
    try:
        async with link.connected(credentials, credentials.address) as connection:
            await connection.report(rig.always(wire.Report(wire.Load())), asyncio.Event())
    except link.Elsewhere as exc:
        return f"{exc.address.host}:{exc.address.port}"
    except link.Ended as exc:
        # The server closed once it had the report.
        return "reported" if str(exc) == "IncompleteReadError" else str(exc)
    return "nothing"


OF_TODAY = [path for path in RECORDED if path.stem != "newer"]


@pytest.mark.parametrize("path", OF_TODAY, ids=name_of)
def test_pods_say_what_was_recorded_in_the_same_words(path: Path) -> None:
    for line in lines_of(path, ">"):
        if line["type"] == "report":
            parsed = json.loads(wire.encode(_report(line)))
            assert parsed == line


def _report(line: dict[str, Any]) -> wire.Report:
    return msgspec.convert(line, wire.Report)
