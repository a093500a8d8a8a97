"""Tokens of an identity provider: only what it signed, for us and for now, says who asks."""

import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent_runtime.guard import bearer, tokens
from agent_runtime.guard.bearer import BearerTokens, ClaimNames, SharedKey
from agent_runtime.guard.principal import ALL_ROLES, Principal, Priority, Role
from agent_runtime.guard.refusal import NotAdmitted, Refusal
from agent_runtime.guard.tokens import KeySet, Remembered
from agent_runtime.guard.watched_file import WatchedFile
from agent_runtime.problems import Invalid
from tests.unit.runtime.credentials import AUDIENCE, ISSUER, FakeTime, Signer, key_set, written

ONE, TWO = Signer("one"), Signer("two")
CURVE = Signer("curve", "ES256")
SECRET = b"s" * 40


class Fixed(KeySet):
    """A key set as it would be after a fetch."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(tokens.parse_key_set(raw)._keys)

    async def current(self) -> object:
        return self


def trusting(*signers: Signer, names: ClaimNames | None = None) -> BearerTokens:
    return BearerTokens(
        Fixed(key_set(*signers)), issuer=ISSUER, audience=AUDIENCE, skew_s=30.0,
        names=names or ClaimNames(),
    )  # fmt: skip


async def refusal_of(found: BearerTokens, token: str) -> Refusal:
    with pytest.raises(NotAdmitted) as caught:
        await found.principal_of(token)
    return caught.value.refusal


@pytest.mark.parametrize("signer", [ONE, CURVE], ids=["RSA", "EC"])
async def test_a_good_token_stands_for_its_subject(signer: Signer) -> None:
    found = await trusting(ONE, TWO, CURVE).principal_of(signer.token())
    assert found == Principal("ann", "", ALL_ROLES, Priority.NORMAL)


def now(offset: float) -> int:
    return int(time.time() + offset)


class Offset(int):
    """Seconds from the moment in which a test runs."""


def dated(claims: dict[str, Any]) -> dict[str, Any]:
    return {k: now(v) if isinstance(v, Offset) else v for k, v in claims.items()}


@pytest.mark.parametrize(
    ("claims", "refusal"),
    [
        ({"aud": "another"}, Refusal.BAD_TOKEN),
        ({"aud": None}, Refusal.BAD_TOKEN),
        ({"iss": "https://evil.example"}, Refusal.BAD_TOKEN),
        ({"iss": None}, Refusal.BAD_TOKEN),
        ({"sub": None}, Refusal.BAD_TOKEN),
        ({"sub": ""}, Refusal.BAD_TOKEN),
        ({"sub": "x" * 257}, Refusal.BAD_TOKEN),
        ({"exp": None}, Refusal.BAD_TOKEN),
        ({"exp": Offset(-60)}, Refusal.EXPIRED),
        ({"nbf": Offset(3600)}, Refusal.EXPIRED),
    ],
)
async def test_a_token_that_says_something_else_is_refused(
    claims: dict[str, Any], refusal: Refusal
) -> None:
    assert await refusal_of(trusting(ONE), ONE.token(**dated(claims))) is refusal


@pytest.mark.parametrize(
    "claims", [{"exp": Offset(-1)}, {"nbf": Offset(29)}, {"aud": ["x", AUDIENCE]}]
)
async def test_clocks_may_differ_a_little_and_audiences_be_several(claims: dict[str, Any]) -> None:
    assert (await trusting(ONE).principal_of(ONE.token(**dated(claims)))).id == "ann"


def forged(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


async def test_forged_tokens_are_refused() -> None:
    good = ONE.token()
    head, body, signature = good.split(".")
    other = TWO.token().split(".")[2]
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": now(600)}
    public = ONE.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    confused = forged({"alg": "HS256", "kid": "one"}, claims)
    signed = hmac.digest(public, confused.rpartition(".")[0].encode(), "sha256")
    for token in (
        "", "x", "a.b.c",
        f"{head}.{body}.", f"{head}.{body}.{other}", f"{head}.{body}x.{signature}",
        forged({"alg": "none", "kid": "one"}, claims),
        forged({"alg": "None", "kid": "one"}, claims),
        forged({"alg": "RS256", "kid": ["one"]}, claims, b"x"),
        forged({"alg": "HS256", "kid": "one"}, claims, signed),
        Signer("one", "RS512").token(),  # the right key, and not the algorithm that it is for
        Signer("one", key=TWO.private).token(),  # somebody else's key under that name
        TWO.token(),  # a key that is not known
        good + "x" * 20_000,
    ):  # fmt: skip
        assert await refusal_of(trusting(ONE), token) is Refusal.BAD_TOKEN


NAMES = ClaimNames("org.tenant", "realm.roles", "https://acme.example/priority")


@pytest.mark.parametrize(
    ("claims", "wanted"),
    [
        (
            {"org": {"tenant": "acme"}, "realm": {"roles": ["Chat", "Admin", 7]},
             "https://acme.example/priority": "VIP"},
            Principal("ann", "acme", frozenset({Role.CHAT}), Priority.VIP),
        ),
        (
            {"org.tenant": "acme", "realm": {"roles": "openid Models"}},
            Principal("ann", "acme", frozenset({Role.MODELS}), Priority.NORMAL),
        ),
        (
            {"org": {"tenant": "acme"}, "https://acme.example/priority": "Emperor"},
            Principal("ann", "acme", frozenset(), Priority.NORMAL),
        ),
    ],
)  # fmt: skip
async def test_claims_that_are_named_say_tenant_roles_and_priority(
    claims: dict[str, Any], wanted: Principal
) -> None:
    assert await trusting(ONE, names=NAMES).principal_of(ONE.token(**claims)) == wanted


@pytest.mark.parametrize("tenant", [None, 7, "", "a/b", "x" * 64, {"a": 1}])
async def test_a_token_without_a_usable_tenant_is_refused_where_one_is_asked_for(
    tenant: Any,
) -> None:
    token = ONE.token(**{"org.tenant": tenant})
    assert await refusal_of(trusting(ONE, names=NAMES), token) is Refusal.BAD_TOKEN


async def test_a_shared_key_verifies_its_own_tokens_only(tmp_path: Path) -> None:
    file = WatchedFile(
        written(tmp_path / "key", SECRET + b"\n"), bearer.parse_shared_key, what="x", origin="x"
    )
    found = BearerTokens(
        SharedKey(file), issuer=ISSUER, audience=AUDIENCE, skew_s=0.0, names=ClaimNames()
    )
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": now(600)}
    assert (await found.principal_of(jwt.encode(claims, SECRET, "HS256"))).id == "ann"
    assert await refusal_of(found, jwt.encode(claims, b"t" * 40, "HS256")) is Refusal.BAD_TOKEN
    assert await refusal_of(found, ONE.token()) is Refusal.BAD_TOKEN
    assert await refusal_of(found, forged({"alg": "none"}, claims)) is Refusal.BAD_TOKEN


async def test_without_its_shared_key_nobody_is_let_in(tmp_path: Path) -> None:
    file = WatchedFile(tmp_path / "none", bearer.parse_shared_key, what="x", origin="Secret 'x'")
    found = BearerTokens(
        SharedKey(file), issuer=ISSUER, audience=AUDIENCE, skew_s=0.0, names=ClaimNames()
    )
    assert await refusal_of(found, ONE.token()) is Refusal.UNAVAILABLE
    with pytest.raises(Invalid):
        bearer.parse_shared_key(b"short\n")


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": []}', b'{"keys": ["x"]}',
        json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]}).encode(),
        json.dumps({"keys": [ONE.jwk(use="enc")]}).encode(),
        json.dumps({"keys": [{"kty": "RSA", "n": "!", "e": "AQAB"}]}).encode(),
    ],
)  # fmt: skip
def test_a_key_set_without_a_usable_public_key_is_none(raw: bytes) -> None:
    with pytest.raises(Invalid):
        tokens.parse_key_set(raw)


async def test_a_verified_token_is_remembered_until_it_expires_or_the_keys_change() -> None:
    known, keys = Remembered[str](2), object()
    assert known.find("a", keys, now=0.0) is None
    for token in "abc":
        known.keep(token, keys, token.upper(), until=10.0)
    assert [known.find(token, keys, now=9.0) for token in "abc"] == [None, "B", "C"]  # bounded
    assert known.find("c", keys, now=10.0) is None
    assert known.find("b", object(), now=0.0) is None
    known.keep("d", keys, "D", until=10.0)  # verified with keys that have gone meanwhile
    assert known.find("d", keys, now=0.0) is None


async def test_a_token_is_not_remembered_for_longer_than_it_is_good() -> None:
    clock = FakeTime(time.time())
    found = BearerTokens(
        Fixed(key_set(ONE)), issuer=ISSUER, audience=AUDIENCE, skew_s=0.0, names=ClaimNames(),
        clock=clock,
    )  # fmt: skip
    token = ONE.token(exp=now(5))
    assert (await found.principal_of(token)).id == "ann"
    assert found._known.find(token, found._keys, now=clock.now + 1) is not None
    assert found._known.find(token, found._keys, now=clock.now + 6) is None
