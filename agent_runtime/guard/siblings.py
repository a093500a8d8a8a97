"""Who asked, as told by a sibling: the entry vouches for a principal, a plain agent believes it.

The proof is the entry's own projected service-account token, made for this one purpose. It is
verified with the cluster's public keys, which lie in a file: nobody is asked. What a client sends
under these headers proves nothing, so it is worth nothing.
"""

import base64
import binascii
import time
from collections.abc import Callable
from typing import Any

import msgspec

from agent_runtime.guard.principal import Principal
from agent_runtime.guard.refusal import NotAdmitted, Refusal
from agent_runtime.guard.tokens import KeySet, Remembered, claims_of
from agent_runtime.guard.watched_file import WatchedFile

PRINCIPAL_HEADER = "x-agentsystem-principal"
PROOF_HEADER = "x-agentsystem-proof"
AUDIENCE = "agentsystem.dev/siblings"
SKEW_S = 10.0  # by which clocks of one cluster may differ
_MAX_PRINCIPAL_BYTES = 4096
_KNOWN_PROOFS = 1024  # every pod of the entry has one, and a new one every hour

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Principal)


class Voucher:
    """The entry's side."""

    def __init__(self, token: WatchedFile[str]) -> None:
        self._token = token

    async def headers(self, principal: Principal) -> dict[str, str]:
        """Return what lets a sibling believe who asks; nothing while there is no token.

        Without it the sibling refuses, and says so.
        """
        token = await self._token.current()
        if token is None:
            return {}
        said = base64.urlsafe_b64encode(_encoder.encode(principal)).decode()
        return {PRINCIPAL_HEADER: said, PROOF_HEADER: token}


class Believer:
    """A plain agent's side."""

    def __init__(
        self,
        keys: WatchedFile[KeySet],
        *,
        account: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`account` is how the names of the system's service accounts begin, and of no others."""
        self._keys = keys
        self._account = account
        self._clock = clock
        self._proved = Remembered[str](_KNOWN_PROOFS)

    async def principal_of(self, said: str | None, proof: str) -> Principal:
        """Return who asked the sibling, or raise `NotAdmitted` if it is none."""
        keys = await self._keys.current()
        if keys is None:
            text = f"a sibling's proof cannot be verified yet: no keys in {self._keys.origin}"
            raise NotAdmitted(Refusal.UNAVAILABLE, text, retry_after_s=5.0)
        if self._proved.find(proof, keys, now=self._clock()) is None:
            claims = await self._verified(keys, proof)
            self._proved.keep(proof, keys, claims["sub"], until=float(claims["exp"]) + SKEW_S)
        return _decoded(said)

    async def _verified(self, keys: KeySet, proof: str) -> dict[str, Any]:
        claims = await claims_of(
            proof, keys, audience=AUDIENCE, issuer=None, skew_s=SKEW_S, refusal=Refusal.SIBLING
        )
        if not str(claims["sub"]).startswith(self._account):
            text = "the proof is that of a service account outside this system"
            raise NotAdmitted(Refusal.SIBLING, text)
        return claims


def _decoded(said: str | None) -> Principal:
    try:
        return _decoder.decode(base64.urlsafe_b64decode((said or "")[:_MAX_PRINCIPAL_BYTES]))
    except (ValueError, binascii.Error, msgspec.DecodeError) as exc:
        text = f"a sibling's {PRINCIPAL_HEADER} cannot be read"
        raise NotAdmitted(Refusal.SIBLING, text) from exc


def parse_token(raw: bytes) -> str:
    """Return the token in a projected file."""
    return raw.decode("ascii", "replace").strip()
