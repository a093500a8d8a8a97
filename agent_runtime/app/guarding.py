"""Builds what `guard` of a config asks for: the gate, and how siblings know each other."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp

from agent_runtime import upkeep
from agent_runtime.app.contract_guard import AuthEntry, JwtEntry, SiblingsEntry
from agent_runtime.app.contract_types import SecretPlace
from agent_runtime.app.gate import Authenticator, Gate
from agent_runtime.guard import api_keys, bearer, siblings, tokens
from agent_runtime.guard.api_keys import ApiKeys
from agent_runtime.guard.bearer import BearerTokens, ClaimNames, SharedKey
from agent_runtime.guard.remote_keys import RemoteKeys
from agent_runtime.guard.siblings import Believer, Voucher
from agent_runtime.guard.watched_file import WatchedFile
from agent_runtime.observability.guard_metrics import GuardMetrics

T = TypeVar("T")


@asynccontextmanager
async def gate_of(
    auth: AuthEntry | None,
    trust: SiblingsEntry | None,
    http: aiohttp.ClientSession,
    metrics: GuardMetrics,
) -> AsyncIterator[Gate | None]:
    """Hold the gate; None where nobody is asked who they are."""
    if auth is None:
        yield None
        return
    believer = _believer(trust)
    if auth.jwt is not None and auth.jwt.jwks_url is not None:
        keys = RemoteKeys(auth.jwt.jwks_url, http)
        async with upkeep.going_on(keys=keys.keep_fresh):
            yield Gate(_bearer(auth.jwt, keys), believer, metrics, stale=lambda: keys.unusable)
        return
    authenticator, stale = await _by_file(auth)
    yield Gate(authenticator, believer, metrics, stale=stale)


async def _by_file(auth: AuthEntry) -> tuple[Authenticator, Callable[[], bool]]:
    """Return what knows callers by a file; what is wrong with it is told now."""
    if auth.jwt is not None and auth.jwt.shared_key is not None:
        shared = _watched(auth.jwt.shared_key, bearer.parse_shared_key, "the tokens' shared key")
        await shared.current()
        return _bearer(auth.jwt, SharedKey(shared)), lambda: shared.unusable
    if auth.api_keys is None:
        raise AssertionError("unreachable: the config's rules ask for one of them")
    keys = _watched(auth.api_keys, api_keys.parse, "API keys")
    await keys.current()
    return ApiKeys(keys), lambda: keys.unusable


def _bearer(entry: JwtEntry, keys: bearer.Trusted) -> BearerTokens:
    claims = entry.claims
    return BearerTokens(
        keys,
        issuer=entry.issuer,
        audience=entry.audience,
        skew_s=entry.clock_skew_seconds,
        names=ClaimNames(claims.tenant, claims.roles, claims.priority),
    )


def _believer(trust: SiblingsEntry | None) -> Believer | None:
    if trust is None or trust.keys is None:
        return None
    file = SecretPlace.model_validate({"file": trust.keys})
    return Believer(
        _watched(file, tokens.parse_key_set, "the cluster's keys"), account=trust.account
    )


def voucher_of(trust: SiblingsEntry | None) -> Voucher | None:
    """Return what proves to siblings that we are one; None where they do not ask."""
    if trust is None or trust.token is None:
        return None
    file = SecretPlace.model_validate({"file": trust.token})
    return Voucher(_watched(file, siblings.parse_token, "our own token"))


def _watched(file: SecretPlace, parse: Callable[[bytes], T], what: str) -> WatchedFile[T]:
    return WatchedFile(Path(file.file), parse, what=what, origin=file.origin)
