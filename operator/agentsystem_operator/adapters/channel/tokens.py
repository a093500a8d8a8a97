"""Whose token it is: a projected service-account token, verified without asking anybody.

A JWT that the cluster signed for this channel's audience. Only what the cluster signs with is
accepted, so the algorithm is the key's and never the token's choice.
"""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from agentsystem_operator import ports

AUDIENCE = "agentsystem.dev/channel"
TOKEN_BYTES = 8_192
"""Those of real clusters have 1 to 2 KB."""
SKEW = timedelta(seconds=10)
"""By which clocks of one cluster may differ."""

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class Refusal(StrEnum):
    """Why a connection is not taken: said to the pod, and the label of a metric."""

    BAD_TOKEN = "BadToken"  # noqa: S105 -- a word, and no password
    """It is no token, was not signed by this cluster, or names no pod."""
    EXPIRED = "Expired"
    """It is not valid now."""
    WRONG_AUDIENCE = "WrongAudience"
    """It was made for something else."""
    UNKNOWN_ACCOUNT = "UnknownAccount"
    """Its service account is not that of an agent which this operator runs."""
    BAD_MESSAGE = "BadMessage"
    """What was sent is no message of this protocol, or out of turn."""
    TOO_SLOW = "TooSlow"
    """The token did not come in time."""
    BUSY = "Busy"
    """Too many connections, in all or from one address; the pod tries again."""
    NOT_NOW = "NotNow"
    """The cluster's keys cannot be read, or nobody leads, for the moment; the pod tries again."""
    REPLACED = "Replaced"
    """The same pod has opened another connection since."""


class Rejected(Exception):
    """A token is not accepted."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class Claims(msgspec.Struct, frozen=True):
    """What a verified token proves."""

    namespace: str
    account: str
    account_uid: str
    pod: str
    pod_uid: str
    expires: datetime


class Keys(Protocol):
    """The keys that the cluster signs with."""

    async def find(self, kid: str) -> PublicKey | None:
        """Return a key, None when there is no such one; raises ClusterError if that is unknown."""

    async def issuer(self) -> str:
        """Return who the cluster's tokens say has issued them; raises as `find` does."""


class _Header(msgspec.Struct):
    alg: str
    kid: str


class _Object(msgspec.Struct):
    name: str
    uid: str


class _Kubernetes(msgspec.Struct):
    namespace: str
    pod: _Object
    serviceaccount: _Object


class _Payload(msgspec.Struct):
    iss: str
    aud: list[str] | str
    sub: str
    exp: int
    kubernetes: _Kubernetes = msgspec.field(name="kubernetes.io")
    nbf: int = 0


class Verifier:
    """Verifies tokens against the cluster's keys."""

    def __init__(self, keys: Keys, *, clock: ports.Clock, audience: str = AUDIENCE) -> None:
        self._keys = keys
        self._clock = clock
        self._audience = audience
        self._header = msgspec.json.Decoder(_Header).decode
        self._payload = msgspec.json.Decoder(_Payload).decode

    async def verify(self, token: str) -> Claims:
        """Return what a token proves, or raise `Rejected`; ClusterError if keys cannot be read."""
        if len(token) > TOKEN_BYTES or token.count(".") != 2:
            raise Rejected(Refusal.BAD_TOKEN)
        signed, _, signature = token.rpartition(".")
        head, _, body = signed.partition(".")
        try:
            header, payload = self._header(_decoded(head)), self._payload(_decoded(body))
            proof = _decoded(signature)
        except (msgspec.DecodeError, binascii.Error, ValueError) as exc:
            raise Rejected(Refusal.BAD_TOKEN) from exc
        key = await self._keys.find(header.kid)
        if key is None or not is_signed_by(key, header.alg, signed.encode(), proof):
            raise Rejected(Refusal.BAD_TOKEN)
        # Only now the payload is more than what anybody could have written.
        return self._judged(payload, await self._keys.issuer())

    def _judged(self, payload: _Payload, issuer: str) -> Claims:
        audiences = [payload.aud] if isinstance(payload.aud, str) else payload.aud
        if self._audience not in audiences:
            raise Rejected(Refusal.WRONG_AUDIENCE)
        who = payload.kubernetes
        account = f"system:serviceaccount:{who.namespace}:{who.serviceaccount.name}"
        if payload.iss != issuer or payload.sub != account:
            raise Rejected(Refusal.BAD_TOKEN)
        now = self._clock.now()
        try:
            expires = datetime.fromtimestamp(payload.exp, UTC)
            begins = datetime.fromtimestamp(payload.nbf, UTC)
        except (OverflowError, ValueError, OSError) as exc:
            raise Rejected(Refusal.BAD_TOKEN) from exc
        if now >= expires + SKEW or now < begins - SKEW:
            raise Rejected(Refusal.EXPIRED)
        return Claims(
            namespace=who.namespace,
            account=who.serviceaccount.name,
            account_uid=who.serviceaccount.uid,
            pod=who.pod.name,
            pod_uid=who.pod.uid,
            expires=expires,
        )


def _decoded(part: str) -> bytes:
    if not part.isascii() or "=" in part:
        raise ValueError("no base64url")
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


_CURVES = {"secp256r1": ("ES256", hashes.SHA256()), "secp384r1": ("ES384", hashes.SHA384())}


def is_signed_by(key: PublicKey, algorithm: str, text: bytes, signature: bytes) -> bool:
    """Say whether a signature is the key's, by the one algorithm that goes with that key."""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            if algorithm != "RS256":
                return False
            key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
            return True
        name, digest = _CURVES.get(key.curve.name, ("", hashes.SHA256()))
        half = (key.curve.key_size + 7) // 8
        if algorithm != name or len(signature) != 2 * half:
            return False
        r, s = (int.from_bytes(part) for part in (signature[:half], signature[half:]))
        key.verify(utils.encode_dss_signature(r, s), text, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True
