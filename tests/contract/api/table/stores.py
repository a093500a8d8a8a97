"""Servers that replicas share, and the store of sessions that needs one."""

from tests.contract.api.case import bad, good

REDIS = {"host": "redis.data.svc"}
POSTGRES = {"host": "db.example.com", "database": "agents", "user": "agents"}
PASSWORD = {"name": "stores", "key": "password"}
IN_REDIS = {"spec.memory.sessions": {"store": "Redis"}, "spec.stores.redis": REDIS}
IN_POSTGRES = {"spec.memory.sessions": {"store": "Postgres"}, "spec.stores.postgres": POSTGRES}
HOST = "spec.stores.redis.host"
PORT = "spec.stores.redis.port"
NEEDS = "is required with spec.memory.sessions.store:"

_NEEDED = (
    good("sessions in redis, many replicas", {**IN_REDIS, "spec.agents[0].replicas": 5}),
    good("sessions in postgres, many replicas", {**IN_POSTGRES, "spec.agents[0].replicas": 5}),
    good("servers that nothing uses", {"spec.stores": {"redis": REDIS, "postgres": POSTGRES}}),
    good("empty stores", {"spec.stores": {}}),
    bad(
        "sessions in redis without a server",
        {"spec.memory.sessions": {"store": "Redis"}},
        "spec.stores.redis",
        says=f"{NEEDS} Redis; say where the server is",
    ),
    bad(
        "sessions in redis with another server",
        {"spec.memory.sessions": {"store": "Redis"}, "spec.stores.postgres": POSTGRES},
        "spec.stores.redis",
        says=f"{NEEDS} Redis",
    ),
    bad(
        "sessions in postgres with another server",
        {"spec.memory.sessions": {"store": "Postgres"}, "spec.stores.redis": REDIS},
        "spec.stores.postgres",
        says=f"{NEEDS} Postgres; say where the server is",
    ),
    bad(
        "volume of a server",
        {**IN_REDIS, "spec.memory.sessions.sqlite": {}},
        "spec.memory.sessions.sqlite",
        says="is only for store SQLite",
    ),
)

_SERVERS = (
    good(
        "redis with all there is",
        {"spec.stores.redis": {**REDIS, "port": 6380, "tls": True, "passwordSecretRef": PASSWORD}},
    ),
    good(
        "postgres with all there is",
        {
            "spec.stores.postgres": {
                **POSTGRES,
                "port": 65535,
                "tls": True,
                "user": "agents@server-1",
                "passwordSecretRef": PASSWORD,
            }
        },
    ),
    *(
        good(f"host {host}", {HOST: host})
        for host in ("redis", "192.0.2.7", "2001:db8::7", "::1", "a" * 253)
    ),
    *(
        bad(f"host {host[:20]!r}", {HOST: host}, HOST)
        for host in ("", "redis:6379", "redis://redis", "[::1]", "::1::2", "-a", "a b", "a" * 254)
    ),
    *(bad(f"port {port}", {HOST: "redis", PORT: port}, PORT) for port in (0, 65536, "6379")),
    bad("tls in words", {HOST: "redis", "spec.stores.redis.tls": "yes"}, "spec.stores.redis.tls"),
    *(
        bad(
            f"postgres without {field}",
            {"spec.stores.postgres": {k: v for k, v in POSTGRES.items() if k != field}},
            f"spec.stores.postgres.{field}",
        )
        for field in POSTGRES
    ),
    *(
        bad(
            f"{field} {value[:12]!r}",
            {"spec.stores.postgres": {**POSTGRES, field: value}},
            f"spec.stores.postgres.{field}",
        )
        for field in ("database", "user")
        for value in ("", "1st", "a b", "a'b", "a" * 64)
    ),
    bad("password in clear", {**IN_REDIS, "spec.stores.redis.password": "x"},
        "spec.stores.redis.password"),
    bad("unknown server", {"spec.stores.etcd": {"host": "a"}}, "spec.stores.etcd"),
)  # fmt: skip

KEYS = "spec.guard.encryption.keysSecretRef"

_ENCRYPTION = (
    good("encryption", {KEYS: {"name": "session-keys", "key": "fernet"}}),
    good("empty guard", {"spec.guard": {}}),
    bad("encryption without keys", {"spec.guard.encryption": {}}, KEYS),
    bad("keys without a key", {KEYS: {"name": "session-keys"}}, f"{KEYS}.key"),
    bad("keys in clear", {"spec.guard.encryption.keys": ["x"]}, "spec.guard.encryption.keys", KEYS),
)

CASES = (*_NEEDED, *_SERVERS, *_ENCRYPTION)
