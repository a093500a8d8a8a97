"""Bearer tokens of an identity provider: who they stand for, by the claims named for that."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agent_runtime.guard.api_keys import name
from agent_runtime.guard.principal import ALL_ROLES, Principal, Priority, Role
from agent_runtime.guard.refusal import NotAdmitted, Refusal
from agent_runtime.guard.tokens import SHARED, KeySource, Remembered, claims_of
from agent_runtime.guard.watched_file import WatchedFile
from agent_runtime.problems import Invalid, Problem

MIN_SHARED_BYTES = 32  # RFC 7518: no shorter than the hash it goes with
_KNOWN_TOKENS = 10_000
_MAX_SUBJECT = 256
_ROLES = {str(role): role for role in Role}
_PRIORITIES = {str(priority): priority for priority in Priority}


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claims say what; a dot leads into an object, unless a claim has the whole name."""

    tenant: str | None = None  # None: all are of one tenant
    roles: str | None = None  # None: each token opens all that any role opens
    priority: str | None = None  # None: Normal


class Trusted(KeySource, Protocol):
    """Keys that come and go."""

    async def current(self) -> object | None:
        """Return what the keys are now; another object means that they have changed."""
        ...


class SharedKey:
    """A secret that we and the issuer know, in a file."""

    algorithms: tuple[str, ...] = SHARED

    def __init__(self, file: WatchedFile[bytes]) -> None:
        self._file = file

    async def current(self) -> object | None:
        """Return the secret."""
        return await self._file.current()

    async def key(self, _kid: str | None) -> bytes:
        """Return the secret, whatever the token calls it; raise `NotAdmitted` without one."""
        key = await self._file.current()
        if key is None:
            text = f"no key to verify tokens with is known yet: put it in {self._file.origin}"
            raise NotAdmitted(Refusal.UNAVAILABLE, text)
        return key


def parse_shared_key(raw: bytes) -> bytes:
    """Return the secret in a file; raise `Invalid` if it is too short to be one."""
    key = raw.rstrip(b"\r\n")
    if len(key) < MIN_SHARED_BYTES:
        what = f"has fewer than {MIN_SHARED_BYTES} bytes"
        raise Invalid([Problem("(whole file)", what, "make one with `openssl rand -base64 48`")])
    return key


class BearerTokens:
    """Finds who a token stands for."""

    def __init__(
        self,
        keys: Trusted,
        *,
        issuer: str,
        audience: str,
        skew_s: float,
        names: ClaimNames,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._skew_s = skew_s
        self._names = names
        self._clock = clock
        self._known = Remembered[Principal](_KNOWN_TOKENS)

    async def principal_of(self, credentials: str) -> Principal:
        """Return who presents this token, or raise `NotAdmitted`."""
        keys = await self._keys.current()
        if known := self._known.find(credentials, keys, now=self._clock()):
            return known
        claims = await claims_of(
            credentials, self._keys,
            audience=self._audience, issuer=self._issuer, skew_s=self._skew_s,
        )  # fmt: skip
        principal = principal_in(claims, self._names)
        until = float(claims["exp"]) + self._skew_s
        self._known.keep(credentials, keys, principal, until=until)
        return principal


def principal_in(claims: Mapping[str, Any], names: ClaimNames) -> Principal:
    """Return who the claims are about; raise `NotAdmitted` if they do not say so clearly."""
    subject = claims["sub"]
    if not (isinstance(subject, str) and 0 < len(subject) <= _MAX_SUBJECT):
        raise NotAdmitted(Refusal.BAD_TOKEN, f"'sub' must have 1 to {_MAX_SUBJECT} characters")
    roles = ALL_ROLES if names.roles is None else _roles(_claim(claims, names.roles))
    said = _claim(claims, names.priority)
    priority = _PRIORITIES.get(said, Priority.NORMAL) if isinstance(said, str) else Priority.NORMAL
    return Principal(subject, _tenant(claims, names.tenant), roles, priority)


def _tenant(claims: Mapping[str, Any], claim: str | None) -> str:
    if claim is None:
        return ""
    said = _claim(claims, claim)
    try:
        return name(said if isinstance(said, str) else "")
    except ValueError as exc:
        text = "the token's claim for the tenant is missing or is no name"
        raise NotAdmitted(Refusal.BAD_TOKEN, text) from exc


def _roles(said: Any) -> frozenset[Role]:
    """Return those of our roles that a claim names, as a list or as words (`scope`)."""
    words = said.split() if isinstance(said, str) else said if isinstance(said, list) else ()
    return frozenset(_ROLES[word] for word in words if isinstance(word, str) and word in _ROLES)


def _claim(claims: Mapping[str, Any], path: str | None) -> Any:
    if path is None or path in claims:
        return claims.get(path) if path else None
    value: Any = claims
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
