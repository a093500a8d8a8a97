"""The one Secret that the operator may read: its own, by name, in its own namespace (I22)."""

import base64
import binascii
from typing import Any

import orjson

from agentsystem_operator import ports
from agentsystem_operator.adapters.api_client import ApiClient
from agentsystem_operator.adapters.resources import SECRET

NAME = "agentsystem-channel"
"""`config/rbac/account/channel.yaml` ships it empty."""


class ChannelSecret:
    """Implements `ports.AuthoritySecret`."""

    def __init__(self, api: ApiClient, *, namespace: str) -> None:
        self._api = api
        self._path = SECRET.item(namespace, NAME)
        self._body: dict[str, Any] = {}

    async def read(self) -> ports.SecretTexts:
        """Return what it holds; Gone when it was not installed."""
        self._body = orjson.loads(await self._api.call("get", self._path, kind=SECRET.kind))
        return ports.SecretTexts(_texts(self._body.get("data") or {}))

    async def write(self, content: ports.SecretTexts) -> None:
        """Replace the version that was read last; ConflictLost if it changed since."""
        data = {
            name: base64.b64encode(text.encode()).decode() for name, text in content.texts.items()
        }
        # Labels and annotations are whose who installed it.
        body = {**self._body, "data": data}
        await self._api.call("update", self._path, kind=SECRET.kind, body=body)


def _texts(data: dict[str, str]) -> dict[str, str]:
    """Return the readable entries; whoever wrote something else is overruled."""
    texts = {}
    for name, value in data.items():
        try:
            texts[name] = base64.b64decode(value).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return texts
