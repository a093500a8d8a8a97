"""The gate in front of every endpoint: who asks, and may they.

Authentication acts once for a request: where a sibling has done it, its word is taken if it
proves to be one. Nothing else that a request says about its sender is read.
"""

from collections.abc import Callable
from typing import Protocol

from agent_runtime.app.asgi import Request
from agent_runtime.app.errors import of_guard
from agent_runtime.guard import roles
from agent_runtime.guard.principal import Principal
from agent_runtime.guard.refusal import NotAdmitted, Refusal
from agent_runtime.guard.siblings import PRINCIPAL_HEADER, PROOF_HEADER, Believer
from agent_runtime.observability.guard_metrics import GuardMetrics

_PROOF, _PRINCIPAL = PROOF_HEADER.encode(), PRINCIPAL_HEADER.encode()
_SCHEME = "bearer "


class Authenticator(Protocol):
    """Knows callers by what they present."""

    async def principal_of(self, credentials: str) -> Principal:
        """Return whose credentials these are, or raise `NotAdmitted`."""
        ...


class Gate:
    """Finds the principal of each request."""

    def __init__(
        self,
        authenticator: Authenticator,
        believer: Believer | None,
        metrics: GuardMetrics,
        *,
        stale: Callable[[], bool],
    ) -> None:
        """`stale` tells whether what callers are held against could not be read anew."""
        self._authenticator = authenticator
        self._believer = believer
        self._metrics = metrics
        self._stale = stale
        metrics.authenticates.set(1)
        metrics.keys_stale.set_function(lambda: float(stale()))

    async def admit(self, request: Request) -> None:
        """Give the request its principal, or raise the `ApiError` that refuses it."""
        if request.path in roles.OPEN_TO_ALL:
            return
        try:
            request.principal = await self._principal_of(request)
            _may(request)
        except NotAdmitted as exc:
            self._metrics.refused(exc.refusal)
            raise of_guard(exc) from None

    async def _principal_of(self, request: Request) -> Principal:
        proof = request.header(_PROOF)
        if proof is not None and self._believer is not None:
            principal = await self._believer.principal_of(request.header(_PRINCIPAL), proof)
            request.is_vouched_for = True
            return principal
        said = request.header(b"authorization")
        if said is None or said[: len(_SCHEME)].lower() != _SCHEME:
            text = "You did not say who you are: send the header Authorization: Bearer <key>."
            raise NotAdmitted(Refusal.NO_CREDENTIALS, text)
        return await self._authenticator.principal_of(said[len(_SCHEME) :].strip())


def _may(request: Request) -> None:
    needed = roles.that_open(request.method, request.path)
    if needed.isdisjoint(request.principal.roles):
        one_of = " or ".join(sorted(needed)) or "none that exists"
        text = f"your roles do not open this endpoint; it takes {one_of}"
        raise NotAdmitted(Refusal.ROLE, text)
