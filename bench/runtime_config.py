"""What the speed benchmark serves: the config of a runtime with everything on, and its callers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_runtime.guard import api_keys
from agent_runtime.guard.principal import Priority, Role

INSTRUCTIONS = "Be brief."
MODEL = "gpt-4o-mini"
TURNS = 4  # that a session keeps: each prompt has nine messages before its own
SESSIONS = 2000  # in turn, so that no request waits for another of its session
QUESTION = (
    "Hello, my mail is bob@example.com. What do you think of our plan for the next quarter, "
    "and who should know about it?"
)
PLAIN = "What do you think of our plan for the next quarter, and who should know about it?"
KINDS = ("Email", "Phone", "IDCard", "BankCard", "IPAddress", "Passport")
CANNED: dict[str, Any] = {
    "contract": "v1.0",
    "namespace": "bench",
    "system": "bench",
    "entry": "front",
    "agents": [{"name": "front", "route": "chat", "instructions": INSTRUCTIONS}],
    "siblings": [],
    "routes": [{"name": "chat", "chain": [{"provider": "canned"}]}],
    "providers": [{"name": "canned", "type": "Scripted", "scripted": {}}],
    "sessions": {"store": "Memory", "ttlSeconds": 3600, "maxTurns": 50, "shared": True},
}


@dataclass(frozen=True)
class Caller:
    """Who asks, with the key that lets them in."""

    key: str
    line: str

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each request."""
        return {"authorization": f"Bearer {self.key}"}


def caller() -> Caller:
    """Return a caller with a new key."""
    return Caller(
        *api_keys.make("bench", tenant="bench", roles=[Role.CHAT], priority=Priority.NORMAL)
    )


def write(folder: Path, name: str, document: dict[str, Any]) -> Path:
    """Write a config."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps(document))
    return file


def proxied(
    folder: Path,
    who: Caller,
    *,
    simulator_port: int,
    redis_port: int | None,
    pii: bool = True,
    restore: bool = True,
) -> dict[str, Any]:
    """Return the config of the full path; without a Redis sessions are in the process's memory."""
    guard: dict[str, Any] = {
        "auth": {"type": "APIKey", "apiKeys": {"file": _secret(folder, "callers", who.line)}}
    }
    if pii:
        guard["pii"] = {
            "key": {"file": _secret(folder, "pii", "a secret of thirty-two characters")},
            "kinds": [{"kind": k, "policy": "Mask", "restore": restore} for k in KINDS],
        }
    endpoint = {
        "baseURL": f"http://127.0.0.1:{simulator_port}/v1",
        "apiKey": {"file": _secret(folder, "provider", "sk-bench")},
    }
    document = CANNED | {
        "contract": "v1.1",
        "routes": [{"name": "chat", "chain": [{"provider": "simulator", "model": MODEL}]}],
        "providers": [{"name": "simulator", "type": "OpenAI", "openAI": endpoint}],
        "sessions": {
            "store": "Memory" if redis_port is None else "Redis",
            "ttlSeconds": 3600, "maxTurns": TURNS, "shared": True,
        },
        "guard": guard,
        "budget": BUDGET,
    }  # fmt: skip
    if redis_port is not None:
        document["stores"] = {"redis": {"host": "127.0.0.1", "port": redis_port}}
    return document


BUDGET: dict[str, Any] = {"amount": "999999", "period": "Month"}
"""So much that it never stops anybody, and every request is reserved and settled all the same."""
CACHE: dict[str, Any] = {"ttlSeconds": 3600, "maxEntries": 1000}


def hits(folder: Path, who: Caller) -> dict[str, Any]:
    """Return the config of a runtime that has nearly every answer in its cache."""
    callers = {"file": _secret(folder, "callers", who.line)}
    return CANNED | {
        "contract": "v1.1",
        "guard": {"auth": {"type": "APIKey", "apiKeys": callers}},
        "cache": CACHE,
    }


def _secret(folder: Path, name: str, line: str) -> str:
    file = folder / name
    file.write_text(f"{line}\n")
    return str(file)


def question(text: str = QUESTION, **more: Any) -> dict[str, Any]:
    """Return the body that is sent to the runtime."""
    return {"model": "front", "messages": [_says("user", text)], **more}


def as_the_provider_sees_it() -> dict[str, Any]:
    """Return the body that comes of it once its session is full, for whoever asks directly."""
    answer = f'This is simulated answer 5. You said: "{QUESTION}"'
    turns = [_says("user", QUESTION), _says("assistant", answer)] * TURNS
    messages = [_says("system", INSTRUCTIONS), *turns, _says("user", QUESTION)]
    return {"model": MODEL, "messages": messages}


def _says(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}
