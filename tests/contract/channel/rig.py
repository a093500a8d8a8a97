"""Both ends of the channel over real TLS on loopback, with a cluster's signing key of our own."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from agent_runtime.channel import report as wire
from agent_runtime.channel.client import Client, Pace
from agent_runtime.channel.link import Report
from agentsystem_operator.adapters.channel import authority, tokens
from agentsystem_operator.adapters.channel.limits import Limits
from agentsystem_operator.adapters.channel.server import ChannelServer, Desk
from agentsystem_operator.adapters.channel.tokens import Claims, PublicKey
from agentsystem_operator.api.reasons import ProviderState
from agentsystem_operator.model.heard import Choice, Load, Said, Speaker, Statement
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.shell.clock import SystemClock

HOST = "agentsystem-operator-channel.agentsystem-system.svc"
ISSUER = "https://kubernetes.default.svc.cluster.local"
KID = "key-1"


@dataclass
class Signer:
    """A key that signs tokens, as an apiserver has one."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    kid: str = KID

    def token(self, *, alg: str | None = None, **changes: Any) -> str:
        """Return the token of pod `front-1` of agent `front` of system `team` in `shop`."""
        claims = payload(**changes)
        algorithm = alg or ("RS256" if isinstance(self.key, rsa.RSAPrivateKey) else "ES256")
        head = {"alg": algorithm, "kid": self.kid}
        signed = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(claims).encode())}"
        return f"{signed}.{encoded(self._signature(signed.encode()))}"

    def _signature(self, text: bytes) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        r, s = utils.decode_dss_signature(self.key.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)


def payload(
    *,
    namespace: str = "shop",
    account: str = "team--front",
    pod: str = "front-1",
    lifetime_s: float = 3600,
    **changes: Any,
) -> dict[str, Any]:
    """Return what such a token says, with whole claims replaced."""
    now = int(time.time())
    return {
        "iss": ISSUER,
        "aud": [tokens.AUDIENCE],
        "sub": f"system:serviceaccount:{namespace}:{account}",
        "iat": now,
        "nbf": now,
        "exp": int(now + lifetime_s),
        "kubernetes.io": {
            "namespace": namespace,
            "pod": {"name": pod, "uid": f"uid-{pod}"},
            "serviceaccount": {"name": account, "uid": f"uid-{namespace}-{account}"},
        },
        **changes,
    }


def public_pem(signer: Signer) -> str:
    """Return the signer's public key, for another process."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return signer.key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass
class KnownKeys:
    """The cluster's keys, already read."""

    known: dict[str, PublicKey]

    async def find(self, kid: str) -> PublicKey | None:
        return self.known.get(kid)

    async def issuer(self) -> str:
        return ISSUER


@dataclass
class Role:
    """Who leads."""

    may_write: bool = True
    leader_address: str = ""


@dataclass
class Ear:
    """Remembers what was heard and counted; a table and a tally in one."""

    reports: list[tuple[Speaker, Load, Said]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def heard(self, speaker: Speaker, load: Load, said: Said) -> None:
        self.reports.append((speaker, load, said))
        self.news.set()

    def channel_refused(self, reason: str) -> None:
        self.refused.append(str(reason))
        self.news.set()

    def channel_reported(self) -> None:
        """Heard anyway."""

    async def until(self, true: Callable[[], bool], *, within_s: float = 10.0) -> None:
        """Return when something has become true."""
        async with asyncio.timeout(within_s):
            while not true():
                self.news.clear()
                await self.news.wait()


@dataclass
class Operator:
    """One running server."""

    port: int
    ear: Ear
    role: Role
    desk: Desk
    trusted: str

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client_tls(self) -> ssl.SSLContext:
        return trusting(self.trusted)


def trusting(bundle: str) -> ssl.SSLContext:
    """Return what a pod trusts."""
    return ssl.create_default_context(cadata=bundle)


def statement(state: str, reason: str = "", *, recent: bool = False) -> Statement:
    return Statement(next(s for s in ProviderState if s.value == state), reason, recent)


def choice(active: str, *, recent: bool = False) -> Choice:
    return Choice(active, recent)


def speaker_of(claims: Claims) -> Speaker | None:
    """Know the accounts of agents in `shop` and `mall` whose uid is right, as a cache would."""
    system, _, agent = claims.account.partition("--")
    known = claims.account_uid == f"uid-{claims.namespace}-{claims.account}" and agent
    if not known or claims.namespace not in ("shop", "mall"):
        return None
    return Speaker(SystemKey(claims.namespace, system), agent, claims.pod_uid)


@asynccontextmanager
async def operator(
    signer: Signer,
    *,
    role: Role | None = None,
    by: authority.Authority | None = None,
    port: int = 0,
    **limits: Any,
) -> AsyncIterator[Operator]:
    """Serve the channel on loopback."""
    clock = SystemClock()
    by = by or authority.make(clock.now())
    context, _ = authority.server_context(by, [HOST], clock.now())
    verifier = tokens.Verifier(KnownKeys({signer.kid: signer.key.public_key()}), clock=clock)
    ear, role = Ear(), role or Role()
    desk = Desk(
        verify=verifier.verify,
        speaker_of=speaker_of,
        role=role,
        table=ear,
        tally=ear,
        clock=clock,
        limits=replace(Limits(), **limits),
    )
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = ChannelServer(desk, lambda: context)
    task = asyncio.create_task(server.run("127.0.0.1", port, ready=listening.set_result))
    try:
        yield Operator(await listening, ear, role, desk, by.certificate_pem)
    finally:
        task.cancel()
        await asyncio.wait([task])


class Pod:
    """A connection as plain lines, for what a well-behaved client would not send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, line: dict[str, Any] | bytes) -> None:
        self.writer.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")

    async def hear(self, *, within_s: float = 5.0) -> dict[str, Any] | None:
        """Return the next line, None when the connection has ended."""
        async with asyncio.timeout(within_s):
            try:
                line = await self.reader.readline()
            except ConnectionError:
                return None
        return json.loads(line) if line else None

    async def greet(self, token: str) -> dict[str, Any] | None:
        self.say({"type": "hello", "channel": "v1.0", "token": token})
        return await self.hear()


@asynccontextmanager
async def pod(at: Operator) -> AsyncIterator[Pod]:
    """Connect as a pod does."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", at.port, ssl=at.client_tls(), server_hostname=HOST
    )
    try:
        yield Pod(reader, writer)
    finally:
        writer.transport.abort()


def place(folder: Path, at: Operator, token: str) -> Path:
    """Write what the kubelet projects into a pod; the host is the channel's, as in a cluster."""
    (folder / "address").write_text(f"{HOST}:{at.port}")
    (folder / "ca.crt").write_text(at.trusted)
    (folder / "token").write_text(token)
    return folder


@asynccontextmanager
async def client(folder: Path, report: Report, *, chance: float = 0.1) -> AsyncIterator[Client]:
    """Run the runtime's end of the channel."""
    running = Client(folder, report, Pace(random=lambda: chance))
    task = asyncio.create_task(running.run())
    try:
        yield running
    finally:
        task.cancel()
        await asyncio.wait([task])


def always(report: wire.Report) -> Report:
    """Say the same each time."""

    async def say() -> wire.Report:
        return report

    return say
