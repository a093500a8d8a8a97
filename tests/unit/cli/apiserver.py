"""An apiserver on loopback that knows AgentSystems and passes chats on, and a kubeconfig for it.

The commands under test reach it with the official client over real HTTP; nothing is patched.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Reply:
    """What to answer one chat request."""

    status: int = 200
    body: bytes = b""
    rest: bytes = b""
    """Sent once `gate` is open; with a gate the answer is chunked, as a streamed one is."""
    gate: threading.Event | None = None
    missing: int = 0
    """So many bytes are announced and never sent."""


def stream(*pieces: str, done: bool = True) -> Reply:
    """Server-sent events with those pieces of text."""
    events = [json.dumps({"choices": [{"index": 0, "delta": {"content": p}}]}) for p in pieces]
    lines = [f"data: {event}\n\n" for event in [*events, *(["[DONE]"] if done else [])]]
    return Reply(body="".join(lines).encode())


def failure(status: int, message: str, code: str = "") -> Reply:
    """An error in OpenAI's shape."""
    return Reply(status, json.dumps({"error": {"message": message, "code": code}}).encode())


@dataclasses.dataclass
class Apiserver:
    """State of the fake: objects by namespace and name, replies to chats in order, what came."""

    kubeconfig: pathlib.Path
    knows_agent_systems: bool = True
    systems: dict[tuple[str, str], Object] = dataclasses.field(default_factory=dict)
    replies: list[Reply] = dataclasses.field(default_factory=list)
    chats: list[tuple[str, Object, str | None]] = dataclasses.field(default_factory=list)

    def answer_get(self, path: str) -> Reply:
        """Answer a read of AgentSystems as an apiserver does."""
        parts = path.removeprefix("/apis/agentsystem.dev/v1alpha1/").split("/")
        if not self.knows_agent_systems:
            return Reply(404, b"404 page not found\n")
        match parts:
            case ["agentsystems"]:
                return as_json({"items": list(self.systems.values())})
            case ["namespaces", namespace, "agentsystems"]:
                found = [s for (where, _), s in self.systems.items() if where == namespace]
                return as_json({"items": found})
            case ["namespaces", namespace, "agentsystems", name] if found_one := self.systems.get(
                (namespace, name)
            ):
                return as_json(found_one)
        message = f'agentsystems.agentsystem.dev "{parts[-1]}" not found'
        return Reply(404, json.dumps({"kind": "Status", "message": message}).encode())

    def answer_chat(self, path: str, body: Object, session: str | None) -> Reply:
        """Answer a chat with the next reply and remember what was sent."""
        self.chats.append((path, body, session))
        return self.replies.pop(0)


def as_json(body: Object) -> Reply:
    """A good answer with that body."""
    return Reply(200, json.dumps(body).encode())


@contextlib.contextmanager
def serving(folder: pathlib.Path) -> Iterator[Apiserver]:
    """Run a fake apiserver for as long as the block lasts."""
    fake = Apiserver(kubeconfig=folder / "kubeconfig")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply(fake.answer_get(self.path))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.reply(fake.answer_chat(self.path, body, self.headers["X-Session-Id"]))

        def reply(self, reply: Reply) -> None:
            self.send_response(reply.status)
            if reply.gate is None:
                self.send_header("Content-Length", str(len(reply.body) + reply.missing))
                self.end_headers()
                self.wfile.write(reply.body)
                self.close_connection = bool(reply.missing)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(reply.body), reply.body))
            reply.gate.wait(10)
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(reply.rest), reply.rest))

        def log_message(self, *_: object) -> None:
            """Say nothing: pytest would show it."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True  # a client may keep its connection
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    fake.kubeconfig.write_text(kubeconfig(f"http://127.0.0.1:{server.server_port}"))
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def kubeconfig(address: str) -> str:
    """A kubeconfig with two contexts for one address: `here` (namespace shop) and `bare`."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": address}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [
                {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "shop"}},
                {"name": "bare", "context": {"cluster": "c", "user": "u"}},
            ],
            "current-context": "here",
        }
    )
