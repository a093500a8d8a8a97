"""What sessions look like in PostgreSQL: tables and one function in a schema of their own.

Made with the first connection, by whoever comes first. Statements are constants; values are always
parameters. A change is a new version that still serves the one before, since replicas of both run
side by side during an update.
"""

from typing import Any

from agent_runtime.stores.base import StoreUnavailable

VERSION = 1
_LOCK = 0x61676E74  # "agnt": of those who make the tables, within this database

LOAD = """
SELECT t.body FROM agentsystem.turns t JOIN agentsystem.sessions s USING (key)
WHERE key = $1 AND s.expires > coalesce($2, extract(epoch FROM clock_timestamp()))
ORDER BY t.turn DESC LIMIT $3
"""
COUNT = """
SELECT count(*) FROM agentsystem.sessions
WHERE scope = $1 AND expires > coalesce($2, extract(epoch FROM clock_timestamp()))
"""
APPEND = "SELECT agentsystem.append($1, $2, $3, $4, $5, $6, $7, $8, $9)"

# A schema that was made for the user beforehand needs no right on the database.
_TABLES = """
DO $do$ BEGIN
    IF to_regnamespace('agentsystem') IS NULL THEN CREATE SCHEMA agentsystem; END IF;
END $do$;
CREATE TABLE agentsystem.sessions (
    key text COLLATE "C" PRIMARY KEY,
    scope text COLLATE "C" NOT NULL,
    expires double precision NOT NULL,
    next_turn bigint NOT NULL,
    bytes bigint NOT NULL
);
CREATE INDEX sessions_by_expiry ON agentsystem.sessions (scope, expires);
CREATE TABLE agentsystem.turns (
    key text COLLATE "C" NOT NULL REFERENCES agentsystem.sessions ON DELETE CASCADE,
    turn bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (key, turn)
);
CREATE TABLE agentsystem.totals (
    scope text COLLATE "C" PRIMARY KEY, sessions bigint NOT NULL, bytes bigint NOT NULL
);
CREATE TABLE agentsystem.version (schema integer NOT NULL);
"""
# The lock on a system's totals comes first, so that batches of replicas never wait in a circle.
_FUNCTION = """
CREATE FUNCTION agentsystem.append(
    of_scope text, keys text[], bodies bytea[], at double precision, ttl double precision,
    max_turns integer, max_session bigint, max_sessions bigint, max_bytes bigint
) RETURNS text[] LANGUAGE plpgsql AS $function$
DECLARE
    moment double precision := coalesce(at, extract(epoch FROM clock_timestamp()));
    outcomes text[] := '{}';
    total agentsystem.totals;
    found_one agentsystem.sessions;
    is_new boolean;
    dropped bigint;
    size bigint;
    gone_sessions bigint;
    gone_bytes bigint;
BEGIN
    INSERT INTO agentsystem.totals VALUES (of_scope, 0, 0) ON CONFLICT DO NOTHING;
    SELECT * INTO total FROM agentsystem.totals WHERE scope = of_scope FOR UPDATE;
    -- so many, so that no single batch takes long
    WITH gone AS (
        DELETE FROM agentsystem.sessions WHERE key IN (
            SELECT key FROM agentsystem.sessions
            WHERE scope = of_scope AND expires <= moment ORDER BY expires LIMIT 500
        ) RETURNING bytes
    ) SELECT count(*), coalesce(sum(bytes), 0) INTO gone_sessions, gone_bytes FROM gone;
    total.sessions := total.sessions - gone_sessions;
    total.bytes := total.bytes - gone_bytes;
    FOR i IN 1 .. cardinality(keys) LOOP
        SELECT * INTO found_one FROM agentsystem.sessions WHERE key = keys[i];
        IF FOUND AND found_one.expires <= moment THEN
            DELETE FROM agentsystem.sessions WHERE key = keys[i];
            total.sessions := total.sessions - 1;
            total.bytes := total.bytes - found_one.bytes;
            found_one := NULL;
        END IF;
        is_new := found_one.key IS NULL;
        -- the newest turn that is not kept any more; sizes are read without reading the turns
        SELECT max(turn) INTO dropped FROM (
            SELECT turn, row_number() OVER newest_first AS place,
                   sum(octet_length(body)) OVER newest_first AS so_far
            FROM agentsystem.turns WHERE key = keys[i]
            WINDOW newest_first AS (ORDER BY turn DESC)
        ) AS kept
        WHERE place >= max_turns OR so_far + octet_length(bodies[i]) > max_session;
        SELECT coalesce(sum(octet_length(body)), 0) + octet_length(bodies[i]) INTO size
        FROM agentsystem.turns WHERE key = keys[i] AND turn > coalesce(dropped, -1);
        IF is_new AND total.sessions >= max_sessions THEN
            outcomes := outcomes || 'sessions'::text;
            CONTINUE;
        END IF;
        IF size > coalesce(found_one.bytes, 0)
            AND total.bytes + size - coalesce(found_one.bytes, 0) > max_bytes THEN
            outcomes := outcomes || 'bytes'::text;
            CONTINUE;
        END IF;
        INSERT INTO agentsystem.sessions AS s VALUES (keys[i], of_scope, moment + ttl, 1, size)
        ON CONFLICT (key) DO UPDATE
        SET expires = excluded.expires, next_turn = s.next_turn + 1, bytes = excluded.bytes;
        INSERT INTO agentsystem.turns
        VALUES (keys[i], coalesce(found_one.next_turn, 0), bodies[i]);
        DELETE FROM agentsystem.turns WHERE key = keys[i] AND turn <= dropped;
        total.sessions := total.sessions + is_new::integer;
        total.bytes := total.bytes + size - coalesce(found_one.bytes, 0);
        outcomes := outcomes || 'kept'::text;
    END LOOP;
    UPDATE agentsystem.totals SET sessions = total.sessions, bytes = total.bytes
    WHERE scope = of_scope;
    RETURN outcomes;
END
$function$;
"""


async def prepare(connection: Any) -> None:  # of asyncpg
    """Make what is missing; raise `StoreUnavailable` if a newer version has made it."""
    if await connection.fetchval("SELECT to_regclass('agentsystem.version')::text") is None:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            # another process may have been faster
            if await connection.fetchval("SELECT to_regclass('agentsystem.version')::text") is None:
                await connection.execute(_TABLES + _FUNCTION)
                await connection.execute("INSERT INTO agentsystem.version VALUES ($1)", VERSION)
    version = await connection.fetchval("SELECT schema FROM agentsystem.version")
    if version != VERSION:
        raise StoreUnavailable(
            f"the database was prepared by a newer version (schema {version}; this one knows"
            f" {VERSION})"
        )
