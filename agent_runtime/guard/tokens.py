"""JSON Web Tokens: whose they are, if whom we trust has signed them, for us, and for now.

The algorithm is the key's, never the token's choice: a public key verifies the algorithm of its own
kind, and nothing here takes `none`, or a public key for a shared secret.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import jwt
import orjson

from agent_runtime.guard.refusal import NotAdmitted, Refusal
from agent_runtime.problems import Invalid, Problem

MAX_TOKEN_BYTES = 16_384  # identity providers with many groups write long ones
MAX_SET_KEYS = 100
ASYMMETRIC = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
SHARED = ("HS256", "HS384", "HS512")

T = TypeVar("T")


class KeySource(Protocol):
    """Where the key of a token comes from."""

    algorithms: tuple[str, ...]

    async def key(self, kid: str | None) -> Any | None:  # PyJWT's kinds of keys
        """Return the key to verify with, or None if there is none of that id."""
        ...


class KeySet:
    """A JSON Web Key Set, public keys only."""

    algorithms: tuple[str, ...] = ASYMMETRIC

    def __init__(self, keys: Mapping[str | None, jwt.PyJWK]) -> None:
        self._keys = keys

    async def key(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key of that id; a token that names none gets the only one there is."""
        return self.find(kid)

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key of that id at once."""
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)


def parse_key_set(raw: bytes) -> KeySet:
    """Return the keys that can verify a signature; raise `Invalid` if there are none.

    Keys of other kinds or uses are no fault: identity providers publish them side by side.
    """
    try:
        document = orjson.loads(raw)
        listed = document["keys"]
        keys = [key for item in listed[:MAX_SET_KEYS] if (key := _public_key(item)) is not None]
    except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
        raise Invalid([Problem("(whole file)", "is no JSON Web Key Set", "see RFC 7517")]) from exc
    if not keys:
        what = "has no public key for signatures of a kind that is accepted"
        raise Invalid([Problem("keys", what, f"use one of {', '.join(ASYMMETRIC)}")])
    return KeySet({key.key_id: key for key in keys})


def _public_key(item: Any) -> jwt.PyJWK | None:  # a JSON edge
    if not isinstance(item, dict) or item.get("use", "sig") != "sig" or item.get("kty") == "oct":
        return None
    try:
        key = jwt.PyJWK(item)
    except (jwt.PyJWTError, ValueError):
        return None
    return key if key.algorithm_name in ASYMMETRIC else None


async def claims_of(
    token: str,
    keys: KeySource,
    *,
    audience: str,
    issuer: str | None,
    skew_s: float,
    refusal: Refusal = Refusal.BAD_TOKEN,
) -> dict[str, Any]:
    """Return the claims of a token that is good now; raise `NotAdmitted` for any other."""
    if len(token) > MAX_TOKEN_BYTES:
        raise NotAdmitted(refusal, f"the token has more than {MAX_TOKEN_BYTES} characters")
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = await keys.key(kid)
        if key is None:
            raise NotAdmitted(refusal, "the token is signed with a key that is not known")
        return jwt.decode(
            token,
            key,
            algorithms=list(keys.algorithms),
            audience=audience,
            issuer=issuer,
            leeway=skew_s,
            options={"require": ["exp", "sub", "aud", *(["iss"] if issuer else [])]},
        )
    except jwt.PyJWTError as exc:
        _refuse(exc, refusal)


def _refuse(exc: jwt.PyJWTError, refusal: Refusal) -> NoReturn:
    for kind, text in _REASONS:
        if isinstance(exc, kind):
            timely = kind in _TIMELY and refusal is Refusal.BAD_TOKEN
            raise NotAdmitted(Refusal.EXPIRED if timely else refusal, text) from None
    raise NotAdmitted(refusal, "this is no JSON Web Token, or it is damaged") from None


# our own words: PyJWT's may repeat what the token says. The first kind that fits.
_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "the token has expired; get a new one"),
    (jwt.ImmatureSignatureError, "the token is not valid yet; are the clocks in order?"),
    (jwt.InvalidAudienceError, "the token was made for another audience"),
    (jwt.InvalidIssuerError, "the token comes from another issuer"),
    (jwt.MissingRequiredClaimError, "the token lacks one of the claims exp, sub, aud, iss"),
    (jwt.InvalidAlgorithmError, "the token's algorithm is not that of its key"),
    (jwt.InvalidSignatureError, "the token's signature is wrong"),
)
_TIMELY = (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError)


class Remembered(Generic[T]):
    """What verified tokens stand for, until they expire or the keys change.

    To verify one costs as much as a whole request does otherwise.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._keys: object = None
        self._known: OrderedDict[bytes, tuple[T, float]] = OrderedDict()

    def find(self, token: str, keys: object, *, now: float) -> T | None:
        """Return what a token was found to stand for, under the same keys."""
        if keys is not self._keys:
            self._known.clear()
            self._keys = keys
        found = self._known.get(_digest(token))
        return found[0] if found is not None and now < found[1] else None

    def keep(self, token: str, keys: object, value: T, *, until: float) -> None:
        """Remember a token until that time; the one that was found the longest ago makes room."""
        if keys is self._keys:  # or they have changed while it was verified
            self._known[_digest(token)] = (value, until)
            if len(self._known) > self._size:
                self._known.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("latin-1", "replace")).digest()
