"""API keys: a file of hashes, one line for each key, and who it stands for.

A key is 256 random bits, so its plain SHA-256 tells nothing: there is no list of likely keys to try
it against, which is what salt and slow hashes are for, and one pass finds the entry of a key.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Annotated

import yaml
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from agent_runtime import documents
from agent_runtime.guard.principal import Principal, Priority, Role
from agent_runtime.guard.refusal import NotAdmitted, Refusal
from agent_runtime.guard.watched_file import WatchedFile
from agent_runtime.problems import Invalid, Problem, Strict, problems_of

MAX_KEYS = 10_000  # what fits into a Secret with some room
_PREFIX = "sha256:"
_HASH = re.compile(f"{_PREFIX}[0-9a-f]{{64}}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")

_INDEXED = 8  # bytes of a hash that find its entry; the rest is compared in constant time

Keys = Mapping[bytes, tuple[tuple[bytes, Principal], ...]]
"""Hashes and who they stand for, by their first bytes."""


def name(text: str) -> str:
    """Return an id or a tenant; both become parts of stored keys, and are shown to people."""
    if not _NAME.fullmatch(text):
        raise ValueError(
            "is not a name; use up to 63 of A-Z a-z 0-9 . _ @ -, beginning with a letter or digit"
        )
    return text


def _hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise ValueError("is not a hash; take the line that `agent-runtime key` has printed")
    return text


class _Entry(Strict):
    id: Annotated[str, AfterValidator(name)]
    hash: Annotated[str, AfterValidator(_hash)]
    tenant: Annotated[str, AfterValidator(name)] | None = None
    roles: Annotated[list[Annotated[Role, Field(strict=False)]], Field(min_length=1)]
    priority: Annotated[Priority, Field(strict=False)] = Priority.NORMAL


_FILE = TypeAdapter(Annotated[list[_Entry], Field(max_length=MAX_KEYS)])


def parse(raw: bytes) -> Keys:
    """Return the keys of a file; raise `Invalid` with every problem in it.

    Two entries may have the same id: the old and the new key while one is replaced.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as exc:
        raise Invalid([Problem("(whole file)", "is not UTF-8 text", "save it as UTF-8")]) from exc
    document = documents.parse_yaml(text, path="(whole file)")
    try:
        entries = _FILE.validate_python([] if document is None else document)
    except ValidationError as exc:
        raise Invalid(problems_of(exc, known="a key")) from exc
    keys: dict[bytes, tuple[tuple[bytes, Principal], ...]] = {}
    for number, entry in enumerate(entries):
        digest = bytes.fromhex(entry.hash.removeprefix(_PREFIX))
        others = keys.get(digest[:_INDEXED], ())
        if any(digest == other for other, _ in others):
            raise Invalid([Problem(f"[{number}].hash", "is there twice", "remove one of the two")])
        keys[digest[:_INDEXED]] = (*others, (digest, _principal(entry)))
    return keys


def _principal(entry: _Entry) -> Principal:
    return Principal(entry.id, entry.tenant or "", frozenset(entry.roles), entry.priority)


def make(id_: str, *, tenant: str | None, roles: list[Role], priority: Priority) -> tuple[str, str]:
    """Return a new key, and the line that lets it in."""
    key = "as-" + secrets.token_urlsafe(32)  # never begins with a dash
    entry: dict[str, object] = {
        "id": name(id_),
        "hash": _PREFIX + hashlib.sha256(key.encode()).hexdigest(),
    }
    if tenant is not None:
        entry["tenant"] = name(tenant)
    entry |= {"roles": [str(role) for role in roles], "priority": str(priority)}
    # one line, whatever its length; ids such as 007 get their quotes
    line = yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, width=10_000)
    return key, f"- {line.strip()}"


class ApiKeys:
    """Finds who a key stands for."""

    def __init__(self, file: WatchedFile[Keys]) -> None:
        self._file = file

    async def principal_of(self, credentials: str) -> Principal:
        """Return who presents this key, or raise `NotAdmitted`."""
        keys = await self._file.current()
        if keys is None:
            text = f"no API keys are known yet: put their file in {self._file.origin}"
            raise NotAdmitted(Refusal.UNAVAILABLE, text)
        digest = hashlib.sha256(credentials.encode("latin-1", "replace")).digest()
        for other, principal in keys.get(digest[:_INDEXED], ()):
            if hmac.compare_digest(other, digest):
                return principal
        text = "Incorrect API key provided. It may have been mistyped or revoked."
        raise NotAdmitted(Refusal.BAD_KEY, text)
