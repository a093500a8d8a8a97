"""The public keys of an identity provider, fetched from its JWKS endpoint and kept.

Once fetched they are used for as long as the endpoint is away: the provider's outage must not be
ours. A token that names an unknown key makes us look at once, but no more than every few seconds,
whoever sends such tokens.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable

import aiohttp

from agent_runtime.guard.refusal import NotAdmitted, Refusal
from agent_runtime.guard.tokens import ASYMMETRIC, KeySet, parse_key_set
from agent_runtime.problems import Invalid

LOOK_EVERY_SECONDS = 10.0  # for a key that is not known; a new one is published before it is used
REFRESH_SECONDS = 900.0  # a key that was withdrawn is not believed for longer
TRY_AGAIN_SECONDS = 30.0  # while the endpoint is away
_MAX_BYTES = 256 << 10
_TIMEOUT = aiohttp.ClientTimeout(total=5)  # somebody may be waiting for the answer

_log = logging.getLogger(__name__)


class RemoteKeys:
    """The keys of one endpoint."""

    algorithms: tuple[str, ...] = ASYMMETRIC

    def __init__(
        self,
        url: str,
        http: aiohttp.ClientSession,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._raw = b""
        self._known: KeySet | None = None
        self.unusable = False
        """Whether the newest look brought nothing, so that older keys, or none, are used."""

    async def current(self) -> object | None:
        """Return the set of keys; another object means that they have changed."""
        return self._known

    async def key(self, kid: str | None) -> object | None:
        """Return the key of that id, after a look for it if it is not known."""
        if self._known is None or self._known.find(kid) is None:
            await self._look()
        if self._known is None:
            text = "the keys to verify tokens with cannot be fetched at the moment"
            raise NotAdmitted(Refusal.UNAVAILABLE, text, retry_after_s=LOOK_EVERY_SECONDS)
        return self._known.find(kid)

    async def keep_fresh(self) -> None:
        """Look now and again, until cancelled."""
        while True:
            await self._look()
            pause = TRY_AGAIN_SECONDS if self.unusable else REFRESH_SECONDS
            # not all replicas at once
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311  # no secret

    async def _look(self) -> None:
        async with self._looking:  # who comes meanwhile waits for the same look
            if self._clock() - self._looked_at < LOOK_EVERY_SECONDS:
                return
            self._looked_at = self._clock()
            try:
                raw = await self._fetched()
                if raw != self._raw:
                    self._known, self._raw = parse_key_set(raw), raw
            except (aiohttp.ClientError, OSError, TimeoutError, Invalid) as exc:
                self._say(unusable=True, why=type(exc).__name__)
            else:
                self._say(unusable=False)

    async def _fetched(self) -> bytes:
        headers = {"accept": "application/json, application/jwk-set+json"}
        async with self._http.get(
            self._url, headers=headers, timeout=_TIMEOUT, allow_redirects=False
        ) as response:
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > _MAX_BYTES:
                    raise aiohttp.ClientPayloadError("more than any key set has")
            if response.status != 200:
                raise aiohttp.ClientPayloadError("not answered with 200")
            return bytes(body)

    def _say(self, *, unusable: bool, why: str = "") -> None:
        if unusable and not self.unusable:
            _log.warning("token keys cannot be fetched", extra={"url": self._url, "why": why})
        elif self.unusable and not unusable:
            _log.info("token keys fetched again", extra={"url": self._url})
        self.unusable = unusable
