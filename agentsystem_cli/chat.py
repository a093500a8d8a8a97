"""`agentsystem chat`: talk to a system through its entry Service, words as they come.

What is said goes to the terminal and to the agents, and nowhere else: not to a log or a file.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import http
import json
import re
import sys
import uuid

import click

from agentsystem_cli import cluster

PATH = "/v1/chat/completions"
DONE = "[DONE]"
BROKE_OFF = "the answer broke off before its end; say it again"
SESSION = re.compile(r"[A-Za-z0-9._~:-]{1,128}")
# What the runtime answers when pods do not share sessions (docs/runtime.md).
NOT_SHARED = "sessions_not_shared"


def checked(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    """The session's id, if the runtime would take it."""
    if text is not None and not SESSION.fullmatch(text):
        raise click.BadParameter("use 1 to 128 of the characters A-Z a-z 0-9 . _ ~ : -")
    return text


@click.command()
@click.argument("name")
@click.option("--agent", help="Agent to talk to (default: the entry).")
@click.option("--session", callback=checked, help="Session to go on with (default: a new one).")
@click.option("-m", "--message", help="Say one thing, print the answer, and end.")
@cluster.options
def chat(
    where: cluster.Cluster,
    *,
    name: str,
    agent: str | None,
    session: str | None,
    message: str | None,
) -> None:
    """Talk to the system NAME; end with Ctrl-D or /quit."""
    talk = Conversation(where, name, agent=agent, session=session or f"chat-{uuid.uuid4()}")
    if message is not None:
        say(talk, message)
        return
    if sys.stdin.isatty():
        click.echo(f"Talking to {agent or name}, session {talk.session}. Ctrl-D ends.", err=True)
    for line in spoken():
        try:
            say(talk, line)
        except cluster.CannotProceed as problem:
            problem.show()


@dataclasses.dataclass
class Conversation:
    """One session with a system, or a whole history where pods do not share sessions."""

    where: cluster.Cluster
    system: str
    agent: str | None
    session: str
    # Only used once the system said that it cannot keep the session for us.
    history: list[cluster.Json] = dataclasses.field(default_factory=list)
    ours: bool = False

    def send(self, text: str) -> collections.abc.Iterator[str]:
        """Say something; the answer comes piece by piece. Raises CannotProceed."""
        self.history.append({"role": "user", "content": text})
        try:
            answer = self._open()
            pieces: list[str] = []
            for piece in pieces_of(answer):
                pieces.append(piece)
                yield piece
        except BaseException:
            self.history.pop()
            raise
        self.history.append({"role": "assistant", "content": "".join(pieces)})

    def _open(self) -> cluster.Answer:
        answer = self.where.open(self.system, PATH, self._body(), self._headers())
        if answer.status == http.HTTPStatus.OK:
            return answer
        text = answer.text()
        if NOT_SHARED in text and not self.ours:
            self.ours = True
            return self._open()
        raise cluster.CannotProceed(explain(answer.status, text, self.system))

    def _body(self) -> cluster.Json:
        # With a session only what is new is sent; the system remembers the rest.
        messages = self.history if self.ours else self.history[-1:]
        model = {"model": self.agent} if self.agent else {}
        return {"messages": messages, "stream": True, **model}

    def _headers(self) -> dict[str, str]:
        return {} if self.ours else {"X-Session-Id": self.session}


def pieces_of(answer: cluster.Answer) -> collections.abc.Iterator[str]:
    """The text in a stream of server-sent events, as it comes."""
    for line in answer.lines():
        if not line.startswith("data:"):
            continue
        event = line.removeprefix("data:").strip()
        if event == DONE:
            return
        yield text_of(event)
    raise cluster.CannotProceed(BROKE_OFF)


def text_of(event: str) -> str:
    """The text in one event; raises CannotProceed if it says that there will be no more."""
    try:
        body = json.loads(event)
        if "error" not in body:
            return "".join(each["delta"].get("content") or "" for each in body["choices"])
    except (ValueError, TypeError, LookupError, AttributeError) as exc:
        raise cluster.CannotProceed(BROKE_OFF) from exc
    raise cluster.CannotProceed(f"the answer broke off: {cluster.message_of(event)}")


def explain(status: int, text: str, system: str) -> str:
    """Why there is no answer, and what to do."""
    message = cluster.message_of(text)
    if status == http.HTTPStatus.SERVICE_UNAVAILABLE and "no endpoints" in message:
        return f"no pod of the entry agent is ready; `agentsystem status {system}` says why"
    if status == http.HTTPStatus.NOT_FOUND and f'"{system}"' in message:
        return f"there is no Service {system!r} here; `agentsystem status -A` lists the systems"
    if status == http.HTTPStatus.FORBIDDEN:
        return f"{message} (chat needs the right to create services/proxy)"
    return f"{system} answered {status}: {message}"


def say(talk: Conversation, text: str) -> None:
    """Send a message and print the answer as it comes."""
    begun = False
    try:
        for piece in talk.send(text):
            begun = True
            click.echo(piece, nl=False)
            sys.stdout.flush()
    finally:
        if begun:  # also what broke off ends its line, before somebody says why
            click.echo()


def spoken() -> collections.abc.Iterator[str]:
    """What the user types, line by line, until the end or /quit."""
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if line == "/quit":
            return
        if line:
            yield line
