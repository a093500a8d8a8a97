"""The keys that the cluster signs service-account tokens with, read from its apiserver and kept.

Every service account may read them. They are read when the first pod connects, when a token names
a key that is not known, at most once in ten seconds, and once a day: at rest nothing is asked.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agentsystem_operator import ports
from agentsystem_operator.adapters import key_set
from agentsystem_operator.adapters.api_client import ApiClient
from agentsystem_operator.adapters.channel.tokens import PublicKey

DISCOVERY_PATH = "/.well-known/openid-configuration"
LOOK_EVERY_S = 10.0
"""For a key that is not known: whoever sends tokens with made-up names costs no more than that."""
FRESH_S = 86_400.0
"""A key that the cluster does not use any more is forgotten within a day."""
KEYS_MAX = 64

logger = logging.getLogger(__name__)


class _Key(msgspec.Struct):
    kty: str
    kid: str = ""
    n: str = ""
    e: str = ""
    crv: str = ""
    x: str = ""
    y: str = ""


class _Keys(msgspec.Struct):
    keys: list[_Key]


class _Discovery(msgspec.Struct):
    issuer: str


class ClusterKeys:
    """Implements `tokens.Keys` on a real apiserver."""

    def __init__(self, api: ApiClient, *, clock: ports.Clock) -> None:
        self._api = api
        self._clock = clock
        self._known: Mapping[str, PublicKey] = {}
        self._issuer = ""
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, kid: str) -> PublicKey | None:
        """Return a key; None when the cluster has no such one."""
        async with self._reading:  # whoever comes meanwhile waits for the same answer
            if kid not in self._known or self._age_s > FRESH_S:
                await self._read_again()
        return self._known.get(kid)

    async def issuer(self) -> str:
        """Return the cluster's issuer, which was read with the keys."""
        return self._issuer

    @property
    def _age_s(self) -> float:
        return self._clock.monotonic() - self._read_at

    async def _read_again(self) -> None:
        now = self._clock.monotonic()
        if now - self._tried_at < LOOK_EVERY_S:
            if not self._known:
                raise ports.ClusterUnreachable("the cluster's keys could not be read a moment ago")
            return
        self._tried_at = now
        try:
            self._known, self._issuer = await self._keys(), await self._named()
            self._read_at = now
        except ports.ClusterError as exc:
            logger.warning("keys of the cluster not read", extra={"error": str(exc)})
            if not self._known:
                raise  # else what is known holds on

    async def _keys(self) -> Mapping[str, PublicKey]:
        found = _parsed(await key_set.read(self._api), _Keys).keys[:KEYS_MAX]
        usable = ((key.kid, _public(key)) for key in found)
        return {kid: key for kid, key in usable if key is not None}

    async def _named(self) -> str:
        said = await self._api.call("get", DISCOVERY_PATH, kind=key_set.KIND, accept="*/*")
        found: _Discovery = _parsed(said, _Discovery)
        return found.issuer


def _parsed(content: bytes, shape: type[Any]) -> Any:  # a JSON edge
    try:
        return msgspec.json.decode(content, type=shape)
    except msgspec.DecodeError as exc:
        raise ports.ClusterUnreachable("the cluster's keys are not as documented") from exc


def _public(key: _Key) -> PublicKey | None:
    """Return a usable key; one of a kind that is not known here verifies nothing."""
    try:
        if key.kty == "RSA":
            return rsa.RSAPublicNumbers(_number(key.e), _number(key.n)).public_key()
        if key.kty == "EC":
            curve = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1}[key.crv]()
            return ec.EllipticCurvePublicNumbers(_number(key.x), _number(key.y), curve).public_key()
    except (ValueError, KeyError, binascii.Error):
        logger.warning("key of the cluster not usable", extra={"kty": key.kty[:16]})
    return None


def _number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
