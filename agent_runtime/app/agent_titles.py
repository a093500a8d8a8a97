"""The titles of the spans in which agents are asked, by the agent's name."""

from urllib.parse import urlsplit

from agent_runtime.agents.directory import Directory
from agent_runtime.observability.tracing.spans import SpanKind, Title

_OPERATION = "invoke_agent"


def of(directory: Directory) -> dict[str, Title]:
    """Return a title for each agent that may be asked: work of our own, or a call of a sibling."""
    own = {name: _title(name, SpanKind.INTERNAL, {}) for name in directory.own}
    others = {
        name: _title(name, SpanKind.CLIENT, _address(sibling.url))
        for name, sibling in directory.siblings.items()
    }
    return others | own


def _title(agent: str, kind: SpanKind, place: dict[str, str | int]) -> Title:
    values = {
        "gen_ai.operation.name": _OPERATION,
        "gen_ai.provider.name": "agentsystem",
        "gen_ai.agent.name": agent,
        **place,
    }
    return Title(f"{_OPERATION} {agent}", kind, values)


def _address(url: str) -> dict[str, str | int]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}
