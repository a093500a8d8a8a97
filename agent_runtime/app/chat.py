"""`POST /v1/chat/completions`: from a request to an agent of ours, or on to a sibling."""

import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, assert_never

from agent_runtime.agents.agent import Agent, Turn
from agent_runtime.agents.directory import Directory, Sibling, Unknown
from agent_runtime.app import chat_request, chat_wire, errors, receipts
from agent_runtime.app.admission import Admission, Interruption, Slot
from agent_runtime.app.asgi import ClientGone, Reply, Request
from agent_runtime.app.chat_request import ChatRequest
from agent_runtime.app.errors import ApiError
from agent_runtime.app.forward import Forwarder
from agent_runtime.cost.accounts import Accounts
from agent_runtime.memory.sessions import SESSION_ID, Session, Sessions
from agent_runtime.observability.metrics import NO_AGENT, Metrics
from agent_runtime.providers.base import Chunk, Json
from agent_runtime.providers.receipt import Receipt

SESSION_HEADER = b"x-session-id"


class ChatEndpoint:
    """Answers chat completions; one instance serves all requests."""

    def __init__(
        self,
        directory: Directory,
        sessions: Sessions | None,
        forwarder: Forwarder,
        admission: Admission,
        metrics: Metrics,
        accounts: Accounts,
    ) -> None:
        """`sessions` is None when the configured store cannot offer them."""
        self._directory = directory
        self._sessions = sessions
        self._forwarder = forwarder
        self._admission = admission
        self._metrics = metrics
        self._accounts = accounts

    async def __call__(self, request: Request, reply: Reply) -> None:
        """Answer one request, and count it."""
        started = time.perf_counter()
        call = _Call(request, reply, chat_wire.new_id())
        reply.identify(call.id)
        try:
            await self._in_a_slot(call)
        except ClientGone:
            call.outcome = str(Interruption.CLIENT_GONE)
        except errors.FORESEEN as exc:
            self._tell(call)
            await reply.fail(errors.of(exc))
        finally:
            seconds = time.perf_counter() - started
            self._metrics.request_ended(call.agent, call.outcome or _status(reply), seconds)

    async def _in_a_slot(self, call: "_Call") -> None:
        slot = self._admission.slot(call.request.receive, call.reply)
        try:
            async with slot:
                await self._answer(call, slot)
        except TimeoutError:
            match slot.interruption:
                case Interruption.CLIENT_GONE:
                    raise ClientGone from None
                case Interruption.SHUTTING_DOWN:
                    raise errors.shutting_down() from None
                case Interruption.TOO_LONG:
                    raise errors.too_long() from None

    async def _answer(self, call: "_Call", slot: Slot) -> None:
        body = await call.request.body(slot.hold)
        slot.received()
        asked = chat_request.parse(body)
        found = self._directory.find(asked.model)
        match found:
            case Agent():
                call.agent = found.name
                await self._answer_here(call, asked, found)
            case Sibling():
                call.agent = found.name
                await self._forwarder.forward(found, body, asked, call.request, call.reply)
            case Unknown():
                raise _no_such_agent(found.name)
            case _:
                assert_never(found)

    async def _answer_here(self, call: "_Call", asked: ChatRequest, agent: Agent) -> None:
        async with self._session(call.request, agent) as session:
            call.receipt = receipts.of(session=call.request.header(SESSION_HEADER))
            turn = Turn(asked.messages, asked.options, session, call.receipt)
            if asked.stream:
                await self._stream(call, asked, agent, turn)
                return
            answer = await agent.complete(turn)
            self._count_tokens(call, answer.usage)
            self._tell(call)
            await call.reply.json_bytes(chat_wire.completion(call.id, agent.name, answer))

    async def _stream(self, call: "_Call", asked: ChatRequest, agent: Agent, turn: Turn) -> None:
        writer = chat_wire.ChunkWriter(call.id, agent.name, include_usage=asked.include_usage)
        last = Chunk({})
        async with aclosing(agent.stream(turn)) as chunks:
            async for chunk in chunks:
                if call.reply.status is None:  # until now a fault still had a status of its own
                    await call.reply.begin_stream()
                last = chunk
                if chunk.finish_reason is None:
                    await call.reply.events(writer.event(chunk))
        usage = last.usage or {}
        self._count_tokens(call, usage)
        if call.receipt is not None:
            usage = receipts.with_cost(usage, call.receipt)
        ending = writer.event(last) + writer.usage_event(usage) + chat_wire.DONE
        await call.reply.end_stream(ending)

    @asynccontextmanager
    async def _session(self, request: Request, agent: Agent) -> AsyncIterator[Session | None]:
        session_id = request.header(SESSION_HEADER)
        if session_id is None:
            yield None
            return
        if not SESSION_ID.fullmatch(session_id):
            text = "X-Session-Id must be 1 to 128 of the characters A-Z a-z 0-9 . _ ~ : -"
            raise errors.invalid(text, param="X-Session-Id", code="invalid_session_id")
        if self._sessions is None:
            raise _sessions_not_shared()
        async with self._sessions.turn(agent.name, session_id) as session:
            yield session

    def _count_tokens(self, call: "_Call", usage: Json) -> None:
        self._metrics.tokens_used(
            call.agent, _number(usage, "prompt_tokens"), _number(usage, "completion_tokens")
        )

    def _tell(self, call: "_Call") -> None:
        """Say in the answer's headers what is known of its cost."""
        if call.receipt is not None:
            told = receipts.headers(call.receipt, call.agent, self._accounts)
            call.reply.tell(told)


class _Call:
    """What is known about one request while it is being answered."""

    def __init__(self, request: Request, reply: Reply, call_id: str) -> None:
        self.request = request
        self.reply = reply
        self.id = call_id
        self.agent = NO_AGENT
        self.outcome: str | None = None
        self.receipt: Receipt | None = None


def _status(reply: Reply) -> str:
    """Return the metric's status: a stream that broke after its 200 is no success."""
    if reply.failed and reply.status == 200:
        return "interrupted"
    return str(reply.status or 500)


def _number(usage: Json, key: str) -> int:
    value: Any = usage.get(key)
    return value if isinstance(value, int) and value >= 0 else 0


def _no_such_agent(name: str) -> ApiError:
    text = f"The model '{name[:100]}' does not exist: it names no agent of this system."
    return ApiError(404, text, param="model", code="model_not_found")


def _sessions_not_shared() -> ApiError:
    text = (
        "X-Session-Id cannot be used: this agent has more than one replica and each keeps sessions "
        "in its own memory. Set spec.memory.sessions.store to a store that replicas share, or send "
        "the whole conversation without X-Session-Id."
    )
    return errors.invalid(text, param="X-Session-Id", code="sessions_not_shared")
