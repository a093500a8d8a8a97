"""Who may speak on the channel, over real TLS: a forged, old or foreign token says nothing."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from agentsystem_operator.model.heard import Speaker
from agentsystem_operator.model.references import SystemKey
from tests.contract.channel import rig
from tests.contract.channel.rig import KID, Signer

REPORT = {"type": "report", "load": {"inFlight": 3}}


@dataclass(frozen=True)
class Case:
    id: str
    token: dict[str, Any]
    reason: str


REFUSED = (
    Case("expired", {"lifetime_s": -11}, "Expired"),
    Case("not valid yet", {"nbf": 4_000_000_000}, "Expired"),
    Case("for the apiserver", {"aud": [rig.ISSUER]}, "WrongAudience"),
    Case("of another cluster", {"iss": "https://elsewhere"}, "BadToken"),
    Case("whose subject is another account", {"sub": "system:serviceaccount:a:b"}, "BadToken"),
    Case("of no pod", {"kubernetes.io": {"namespace": "shop"}}, "BadToken"),
    Case("of an account that is no agent's", {"account": "default"}, "UnknownAccount"),
    Case("from a namespace that is not served", {"namespace": "other"}, "UnknownAccount"),
    Case("unsigned", {"alg": "none"}, "BadToken"),
    Case("signed by a shared secret", {"alg": "HS256"}, "BadToken"),
)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
async def test_a_token_is_refused(case: Case, signer: Signer) -> None:
    async with rig.operator(signer) as operator, rig.pod(operator) as pod:
        said = await pod.greet(signer.token(**case.token))

        assert said == {"type": "refused", "reason": case.reason}
        assert await pod.hear() is None
        assert operator.ear.refused == [case.reason]
        assert operator.ear.reports == []


async def test_a_token_that_another_key_signed_is_refused(signer: Signer) -> None:
    forger = Signer(ec.generate_private_key(ec.SECP256R1()), kid=KID)
    async with rig.operator(signer) as operator, rig.pod(operator) as pod:
        assert await pod.greet(forger.token()) == {"type": "refused", "reason": "BadToken"}


async def test_a_token_that_was_changed_after_it_was_signed_is_refused(signer: Signer) -> None:
    head, _, signature = signer.token().split(".")
    other = signer.token(namespace="mall").split(".")[1]
    async with rig.operator(signer) as operator, rig.pod(operator) as pod:
        said = await pod.greet(f"{head}.{other}.{signature}")

        assert said == {"type": "refused", "reason": "BadToken"}


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "é.b.c", "." * 2, "x" * 8000])
async def test_what_is_no_token_is_refused(token: str, signer: Signer) -> None:
    async with rig.operator(signer) as operator, rig.pod(operator) as pod:
        assert await pod.greet(token) == {"type": "refused", "reason": "BadToken"}


async def test_elliptic_curves_sign_as_well() -> None:
    signer = Signer(ec.generate_private_key(ec.SECP256R1()))
    async with rig.operator(signer) as operator, rig.pod(operator) as pod:
        assert await pod.greet(signer.token()) == {"type": "welcome", "channel": "v1.0"}


async def test_a_pod_that_lies_about_its_system_speaks_for_its_own(signer: Signer) -> None:
    lie = {"namespace": "mall", "system": "bank", "agent": "boss", "pod": "uid-other"}
    async with rig.operator(signer) as operator, rig.pod(operator) as pod:
        pod.say({"type": "hello", "channel": "v1.0", "token": signer.token(), **lie})
        assert await pod.hear() == {"type": "welcome", "channel": "v1.0"}
        pod.say(REPORT | lie)
        await operator.ear.until(lambda: bool(operator.ear.reports))

        ((speaker, load, _),) = operator.ear.reports
        assert speaker == Speaker(SystemKey("shop", "team"), "front", "uid-front-1")
        assert load.in_flight == 3


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no json",
        b"{}",
        b'{"type":"drain"}',
        b'{"type":"report"}',
        b'{"type":"report","load":{"inFlight":-1}}',
        b'{"type":"report","load":{"p95Seconds":NaN}}',
        b'{"type":"report","load":{},"providers":[{"name":"a b","state":"Down"}]}',
        b'{"type":"report","load":{},"providers":[{"name":"a","state":"Sad"}]}',
        b'{"type":"hello","channel":"v1.0","token":"again"}',
        b'{"type":"report","load":{},"more":"' + b"x" * 20_000 + b'"}',
    ],
    ids=lambda line: line[:40].decode(),
)
async def test_what_is_no_message_ends_the_connection(line: bytes, signer: Signer) -> None:
    async with rig.operator(signer) as operator, rig.pod(operator) as pod:
        await pod.greet(signer.token())
        pod.say(line)

        assert await pod.hear() == {"type": "refused", "reason": "BadMessage"}
        assert await pod.hear() is None
        assert operator.ear.reports == []


async def test_nobody_is_heard_without_a_token(signer: Signer) -> None:
    async with rig.operator(signer) as operator, rig.pod(operator) as pod:
        pod.say(REPORT)

        assert await pod.hear() == {"type": "refused", "reason": "BadMessage"}
        assert operator.ear.reports == []


async def test_a_pod_trusts_nobody_but_the_operator(signer: Signer) -> None:
    async with rig.operator(signer) as operator, rig.operator(signer) as impostor:
        impostor.trusted = operator.trusted
        with pytest.raises(ssl.SSLCertVerificationError):
            async with rig.pod(impostor):
                pass


async def test_a_connection_lives_no_longer_than_its_token(signer: Signer) -> None:
    async with rig.operator(signer) as operator, rig.pod(operator) as pod:
        token = signer.token(lifetime_s=-8)  # within the skew that clocks are granted
        assert await pod.greet(token) == {"type": "welcome", "channel": "v1.0"}

        assert await pod.hear() == {"type": "refused", "reason": "Expired"}
        assert await pod.hear() is None
