"""Opens the store that a config names for its sessions."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from agent_runtime.app.config_file import Surroundings
from agent_runtime.app.contract import Config, SessionsEntry
from agent_runtime.app.stores import Stores
from agent_runtime.memory.base import KeyMissing, Retention, SessionStore
from agent_runtime.memory.in_process import MemoryStore
from agent_runtime.memory.postgres import PostgresSessions
from agent_runtime.memory.redis import RedisSessions
from agent_runtime.memory.sqlite import open_store
from agent_runtime.observability.metrics import Metrics
from agent_runtime.secret_files import SecretFile
from agent_runtime.stores.base import scope

if TYPE_CHECKING:
    from agent_runtime.memory.encrypted import KeyRing

_MEMORY_BYTES = 64 << 20  # for sessions in memory; a pod is small
_DATABASE_SESSIONS, _DATABASE_BYTES = 1_000_000, 16 << 30  # of one system; a disk has room


def default(surroundings: Surroundings) -> SessionsEntry:
    """Return what a config without sessions means."""
    # a laptop keeps its conversations; a pod has no disk unless it was given one
    store = "Memory" if surroundings.in_cluster else "SQLite"
    return SessionsEntry.model_validate({"store": store})


def path_of(entry: SessionsEntry, config: Config, surroundings: Surroundings) -> Path:
    """Return where store SQLite has its file."""
    default = surroundings.state_home / "agentsystem" / config.namespace / config.system
    return Path(entry.path) if entry.path else default / "sessions.db"


async def opened(
    entry: SessionsEntry, config: Config, surroundings: Surroundings, stores: Stores
) -> SessionStore:
    """Return the store; raise `StoreUnavailable` for a file that cannot be used.

    A server that is away now is none: it may come.
    """
    ttl_s, max_turns = entry.ttl_seconds, entry.max_turns
    begin = scope(config.namespace, config.system)
    match entry.store:
        case "Memory":
            return MemoryStore(Retention(ttl_s, max_turns, max_bytes=_MEMORY_BYTES))
        case "SQLite":
            path = path_of(entry, config, surroundings)
            return await open_store(path, Retention(ttl_s, max_turns))
        case "Redis":
            assert stores.redis is not None  # noqa: S101  # `references` has seen to it
            return RedisSessions(stores.redis, begin, Retention(ttl_s, max_turns))
        case "Postgres":
            assert stores.postgres is not None  # noqa: S101  # as above
            kept = Retention(ttl_s, max_turns, _DATABASE_SESSIONS, _DATABASE_BYTES)
            return PostgresSessions(stores.postgres, begin, kept)
        case _:
            assert_never(entry.store)


async def key_ring(config: Config, metrics: Metrics) -> "KeyRing | None":
    """Return the keys that seal what is stored, if the config asks for it.

    That there is none yet is told at once.
    """
    if config.guard is None or config.guard.encryption is None:
        return None
    # the library costs memory that most processes can save
    from agent_runtime.memory.encrypted import KeyRing

    place = config.guard.encryption.keys
    file = SecretFile(Path(place.file), place.origin)
    ring = KeyRing(file, missing=metrics.session_key_missing.set)
    with contextlib.suppress(KeyMissing):
        await ring.keys()
    return ring


def encrypted(store: SessionStore, ring: "KeyRing | None") -> SessionStore:
    """Return the store, encrypted if there are keys."""
    if ring is None:
        return store
    from agent_runtime.memory.encrypted import EncryptedSessions

    return EncryptedSessions(store, ring)
