"""The scalars of the rendered config, and what several of its sections hold."""

import re
import urllib.parse
from typing import Annotated

from pydantic import AfterValidator, Field

from agent_runtime.problems import Strict

# a name goes into stored keys, metric labels and URLs
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _name(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError(
            "is not a name; use up to 63 lower-case letters and digits, with dashes between them"
        )
    return text


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")) or len(text.split("://", 1)[1]) == 0:
        raise ValueError("is not an HTTP address; write http://HOST:PORT or https://HOST/PATH")
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > 2048:
        raise ValueError("is not an HTTP address; use printable ASCII without blanks")
    if not _can_be_asked(text):
        raise ValueError(
            "is not an address to ask; write http(s)://HOST[:PORT][/PATH] without user, query or #"
        )
    return text


def _can_be_asked(url: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(url)
        has_port_or_none = parts.port != 0  # reading it raises if it is no port
    except ValueError:
        return False
    plain = "@" not in parts.netloc and "?" not in url and "#" not in url
    return bool(parts.hostname) and has_port_or_none and plain


def _path(text: str) -> str:
    if not text.isprintable():
        raise ValueError("is not a path; use printable characters")
    return text


Name = Annotated[str, AfterValidator(_name)]
Url = Annotated[str, AfterValidator(_url)]
FilePath = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_path)]


class SecretPlace(Strict):
    """Where a key or a password is, and what people call that place."""

    file: FilePath
    secret_name: str | None = Field(None, alias="secretName", max_length=253)
    secret_key: str | None = Field(None, alias="secretKey", max_length=253)

    @property
    def origin(self) -> str:
        """What people call the place."""
        if self.secret_name and self.secret_key:
            return f"Secret {self.secret_name!r}, key {self.secret_key!r}"
        return f"file {self.file}"
