"""From a request to an agent of ours, or on to a sibling; and what a chat with an agent is.

Chat completions and responses are two dialects of the same chat.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext
from dataclasses import replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar, assert_never

from agent_runtime.agents.agent import Agent, Turn
from agent_runtime.agents.directory import Directory, Sibling, Unknown
from agent_runtime.app import agent_titles, errors, receipts
from agent_runtime.app.admission import Admission, Interruption, Slot
from agent_runtime.app.asgi import ClientGone, Reply, Request
from agent_runtime.app.chat_request import ChatRequest
from agent_runtime.app.errors import ApiError
from agent_runtime.app.forward import Forwarder
from agent_runtime.cost.accounts import Accounts
from agent_runtime.memory.sessions import SESSION_ID, Session, Sessions
from agent_runtime.observability.metrics import NO_AGENT, Metrics
from agent_runtime.observability.tracing.spans import Within
from agent_runtime.providers.base import Answer, Chunk, Json
from agent_runtime.providers.receipt import Receipt

SESSION_HEADER = b"x-session-id"


class Addressed(Protocol):
    """A request that names an agent."""

    @property
    def model(self) -> str | None:
        """The name, None for the entry."""


Asked = TypeVar("Asked", bound=Addressed)


class AgentEndpoint(ABC, Generic[Asked]):
    """Answers what is asked of agents; one instance serves all requests of one path."""

    operation: ClassVar[str]
    """As OpenTelemetry's conventions call it."""

    def __init__(
        self,
        directory: Directory,
        forwarder: Forwarder,
        admission: Admission,
        metrics: Metrics,
        accounts: Accounts,
    ) -> None:
        self._directory = directory
        self._forwarder = forwarder
        self._admission = admission
        self._metrics = metrics
        self._accounts = accounts
        self._titles = agent_titles.of(directory)

    async def __call__(self, request: Request, reply: Reply) -> None:
        """Answer one request, and count it."""
        started = time.perf_counter()
        call = Call(request, reply, request.id if request.id_is_ours else self.new_id(), started)
        reply.frame = self._frame
        try:
            await self._in_a_slot(call)
        except ClientGone:
            call.outcome = str(Interruption.CLIENT_GONE)
        except errors.FORESEEN as exc:
            self._tell(call)
            await reply.fail(errors.of(exc))
        finally:
            seconds = time.perf_counter() - started
            outcome = call.outcome or _status(reply)
            self._metrics.request_ended(call.agent, outcome, seconds)
            series = self._metrics.genai.agent(self.operation, call.agent)
            series.ended(seconds, "" if outcome == "200" else outcome)
            self._count_degraded(call, outcome)

    async def _in_a_slot(self, call: "Call") -> None:
        request = call.request
        slot = self._admission.slot(request.receive, call.reply, request.principal)
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

    async def _answer(self, call: "Call", slot: Slot) -> None:
        body = await call.request.body(slot.hold)
        slot.received()
        asked = self._parse(body)
        found = self._directory.find(asked.model)
        if call.request.when_agent_known is not None and not isinstance(found, Unknown):
            call.agent = found.name
            await call.request.when_agent_known(found.name)
        match found:
            case Agent():
                call.agent = found.name
                with Within(self._titles[found.name]):
                    await self._answer_here(call, asked, found)
            case Sibling():
                call.agent = found.name
                with Within(self._titles[found.name]) as span:
                    await self._forwarder.forward(
                        found, body, asked.model, call.request, call.reply
                    )
                    if span is not None and (call.reply.status or 0) >= 500:
                        span.fail(str(call.reply.status))
            case Unknown():
                raise _no_such_agent(found.name)
            case _:
                assert_never(found)

    @abstractmethod
    def new_id(self) -> str:
        """Return the id of a request and its answer."""

    @abstractmethod
    def _parse(self, body: bytes) -> Asked:
        """Return what is asked; raise the `ApiError` that names the wrong parameter."""

    @abstractmethod
    def _frame(self, error: ApiError, sent: int) -> bytes:
        """Return the event that ends a stream of so many events by telling an error."""

    @abstractmethod
    async def _answer_here(self, call: "Call", asked: Asked, agent: Agent) -> None:
        """Let an agent of ours answer."""

    def _open(self, call: "Call") -> Receipt:
        """Begin the receipt of a request that is answered here."""
        header, tenant = call.request.header, call.request.principal.tenant
        session, wants = header(SESSION_HEADER), header(b"cache-control")
        call.receipt = receipts.of(session=session, tenant=tenant, wants=wants)
        return call.receipt

    def _tell(self, call: "Call") -> None:
        """Say in the answer's headers what is known of its cost."""
        if call.receipt is not None:
            call.reply.tell(receipts.headers(call.receipt, call.agent, self._accounts))

    def _count_degraded(self, call: "Call", outcome: str) -> None:
        if self._metrics.budget is None or call.receipt is None or outcome != "200":
            return
        if lacks := receipts.level(call.receipt):
            self._metrics.budget.degraded(lacks)

    def _count_tokens(self, call: "Call", usage: Json) -> None:
        if call.receipt and call.receipt.cache and call.receipt.cache.is_hit:
            return  # no model has worked for it
        self._metrics.tokens_used(
            call.agent, _number(usage, "prompt_tokens"), _number(usage, "completion_tokens")
        )


class Writer(Protocol):
    """Writes the events of one stream."""

    def event(self, chunk: Chunk) -> bytes:
        """Return the events of a piece."""
        ...

    def ending(self, last: Chunk) -> bytes:
        """Return the events of the last piece, and of the end."""
        ...

    def failed(self, error: ApiError, sent: int) -> bytes:
        """Return the events that end a stream of so many events by telling an error."""
        ...


class Dialect(Protocol):
    """An API for chats: how it asks and how it is answered."""

    def new_id(self) -> str:
        """Return an id for an answer, which is the request's id as well."""
        ...

    def parse(self, body: bytes) -> ChatRequest:
        """Return what is asked; raise the `ApiError` that names the wrong parameter."""
        ...

    def whole(self, call_id: str, model: str, asked: ChatRequest, answer: Answer) -> bytes:
        """Return the body of a plain answer."""
        ...

    def writer(self, call_id: str, model: str, asked: ChatRequest) -> Writer:
        """Return what writes a streamed answer."""
        ...

    def frame(self, error: ApiError, sent: int) -> bytes:
        """Return the same for a stream that another pod writes."""
        ...


class ChatEndpoint(AgentEndpoint[ChatRequest]):
    """Answers chats."""

    operation = "chat"

    def __init__(
        self,
        dialect: Dialect,
        directory: Directory,
        sessions: Sessions | None,
        forwarder: Forwarder,
        admission: Admission,
        metrics: Metrics,
        accounts: Accounts,
    ) -> None:
        """`sessions` is None when the configured store cannot offer them."""
        super().__init__(directory, forwarder, admission, metrics, accounts)
        self._dialect = dialect
        self._sessions = sessions

    def new_id(self) -> str:
        """Return the id of a request, which is its answer's as well."""
        return self._dialect.new_id()

    def _parse(self, body: bytes) -> ChatRequest:
        return self._dialect.parse(body)

    def _frame(self, error: ApiError, sent: int) -> bytes:
        return self._dialect.frame(error, sent)

    async def _answer_here(self, call: "Call", asked: ChatRequest, agent: Agent) -> None:
        async with self._session(call.request, agent) as session:
            principal, receipt = call.request.principal, self._open(call)
            turn = Turn(asked.messages, asked.options, session, principal, receipt)
            if asked.stream:
                await self._stream(call, asked, agent, turn)
                return
            answer = await agent.complete(turn)
            self._count_tokens(call, answer.usage)
            self._tell(call)
            body = self._dialect.whole(call.id, agent.name, asked, answer)
            await call.reply.json_bytes(body)

    async def _stream(self, call: "Call", asked: ChatRequest, agent: Agent, turn: Turn) -> None:
        writer = self._dialect.writer(call.id, agent.name, asked)
        call.reply.frame = writer.failed
        last, began = Chunk({}), call.started
        async with aclosing(agent.stream(turn)) as chunks:
            async for chunk in chunks:
                if call.reply.status is None:  # until now a fault still had a status of its own
                    call.reply.tell(receipts.early(turn.receipt, self._accounts))
                    await call.reply.begin_stream()
                    began = time.perf_counter()
                last = chunk
                if chunk.finish_reason is None:
                    await call.reply.events(writer.event(chunk))
        usage = last.usage or {}
        self._count_tokens(call, usage)
        if call.receipt is not None:
            last = replace(last, usage=receipts.with_cost(usage, call.receipt))
        await call.reply.end_stream(writer.ending(last))
        self._metrics.genai.agent(self.operation, agent.name).streamed(
            began - call.started, time.perf_counter() - began, _number(usage, "completion_tokens")
        )

    def _session(
        self, request: Request, agent: Agent
    ) -> AbstractAsyncContextManager[Session | None]:
        session_id = request.header(SESSION_HEADER)
        return _NO_SESSION if session_id is None else self._turn(session_id, request, agent)

    @asynccontextmanager
    async def _turn(
        self, session_id: str, request: Request, agent: Agent
    ) -> AsyncIterator[Session]:
        if not SESSION_ID.fullmatch(session_id):
            text = "X-Session-Id must be 1 to 128 of the characters A-Z a-z 0-9 . _ ~ : -"
            raise errors.invalid(text, param="X-Session-Id", code="invalid_session_id")
        if self._sessions is None:
            raise _sessions_not_shared()
        session_id = await agent.session_id(session_id)
        async with self._sessions.turn(agent.name, session_id, request.principal) as session:
            yield session


_NO_SESSION: AbstractAsyncContextManager[None] = nullcontext()


class Call:
    """What is known about one request while it is being answered."""

    def __init__(self, request: Request, reply: Reply, call_id: str, started: float) -> None:
        self.request = request
        self.reply = reply
        self.id = call_id
        self.started = started
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
