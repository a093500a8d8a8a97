"""Rules between fields: each kept and each broken, alone and together."""

from tests.contract.api.case import bad, good
from tests.contract.api.resources import API_KEYS, REMOVED

SECOND = {"name": "second", "route": "chat"}
TWO_AGENTS = {"spec.agents[1]": SECOND, "spec.workflow.entry": "front"}
OPENAI = {"name": "hosted", "type": "OpenAI", "openAI": {}}
WITH_OPENAI = {
    "spec.providers[1]": OPENAI,
    "spec.routes[0].chain[1]": {"provider": "hosted", "model": "gpt-4o-mini"},
}
ANTHROPIC = {"name": "hosted", "type": "Anthropic", "anthropic": {}}
WITH_ANTHROPIC = {**WITH_OPENAI, "spec.providers[1]": ANTHROPIC}
GUARDED = {"spec.guard.auth": API_KEYS}
SQLITE = {"spec.memory.sessions": {"store": "SQLite"}}
PROMPT = {"configMapKeyRef": {"name": "prompts", "key": "front.txt"}}
REPLICAS = "spec.agents[0].replicas"
ONE_REPLICA = "store SQLite allows one replica per agent: front; lower its replicas to 1"
NEEDS_ENTRY = "is required with more than one agent"
NEEDS_SESSIONS = "must be stated in tiers Staging and Production"

_AGENTS = (
    good("instructions", {"spec.agents[0].instructions": "Be brief."}),
    good("empty instructions", {"spec.agents[0].instructions": ""}),
    good("instructions from a ConfigMap", {"spec.agents[0].instructionsFrom": PROMPT}),
    bad(
        "instructions twice",
        {"spec.agents[0].instructions": "Be brief.", "spec.agents[0].instructionsFrom": PROMPT},
        "spec.agents[0].instructionsFrom",
        says="is not allowed together with instructions; remove one of them",
    ),
    bad(
        "empty instructions and others",
        {"spec.agents[0].instructions": "", "spec.agents[0].instructionsFrom": PROMPT},
        "spec.agents[0].instructionsFrom",
        says="is not allowed together with instructions",
    ),
    good("two agents with an entry", TWO_AGENTS),
    bad(
        "two agents without an entry",
        {"spec.agents[1]": SECOND},
        "spec.workflow.entry",
        says=NEEDS_ENTRY,
    ),
    bad(
        "two agents with an empty workflow",
        {"spec.agents[1]": SECOND, "spec.workflow": {}},
        "spec.workflow.entry",
        says=NEEDS_ENTRY,
    ),
    good("one agent that is the entry", {"spec.workflow.entry": "front"}),
    bad(
        "unknown entry",
        {**TWO_AGENTS, "spec.workflow.entry": "third"},
        "spec.workflow.entry",
        says="unknown agent: third; declare it in spec.agents",
    ),
)

_SESSIONS = (
    good(
        "sqlite with a volume",
        {
            "spec.memory.sessions": {
                "store": "SQLite",
                "sqlite": {"size": "5Gi", "storageClassName": "fast.local"},
            }
        },
    ),
    good("sqlite with one replica", {**SQLITE, REPLICAS: 1}),
    good("sqlite with no replica", {**SQLITE, REPLICAS: 0}),
    bad("sqlite with two replicas", {**SQLITE, REPLICAS: 2}, "spec.agents", says=ONE_REPLICA),
    bad(
        "sqlite by tier with two replicas",
        {"spec.tier": "Testing", **GUARDED, REPLICAS: 2},
        "spec.agents",
        says=ONE_REPLICA,
    ),
    good("memory with two replicas", {REPLICAS: 2}),
    good(
        "memory in testing with two replicas",
        {
            "spec.tier": "Testing",
            "spec.memory.sessions": {"store": "Memory"},
            **GUARDED,
            REPLICAS: 2,
        },
    ),
    bad(
        "volume of a store that has none",
        {"spec.memory.sessions": {"store": "Memory", "sqlite": {}}},
        "spec.memory.sessions.sqlite",
        says="is only for store SQLite; remove it or set store: SQLite",
    ),
    *(
        bad(
            f"{tier} without sessions",
            {"spec.tier": tier, **GUARDED},
            "spec.memory.sessions",
            says=NEEDS_SESSIONS,
        )
        for tier in ("Staging", "Production")
    ),
    bad(
        "Production with an empty memory",
        {"spec.tier": "Production", "spec.memory": {}, **GUARDED},
        "spec.memory.sessions",
        says=NEEDS_SESSIONS,
    ),
    *(
        good(f"{tier} with sessions", {"spec.tier": tier, **SQLITE, **GUARDED})
        for tier in ("Staging", "Production")
    ),
)

_PROVIDERS = (
    bad(
        "openai without its section",
        {"spec.providers[1]": {"name": "hosted", "type": "OpenAI"}},
        "spec.providers[1].openAI",
        says="is required with type OpenAI",
    ),
    bad(
        "openai with a foreign section",
        {"spec.providers[1]": {**OPENAI, "scripted": {}}},
        "spec.providers[1].scripted",
        says="is only for type Scripted",
    ),
    bad(
        "scripted with a foreign section",
        {"spec.providers[0].openAI": {}},
        "spec.providers[0].openAI",
        says="is only for type OpenAI",
    ),
    good("openai with a model", WITH_OPENAI),
    bad(
        "openai without a model",
        {**WITH_OPENAI, "spec.routes[0].chain[1].model": REMOVED},
        "spec.routes",
        says="a provider that is not Scripted needs a model in route: chat; add chain[].model",
    ),
    bad(
        "anthropic without its section",
        {"spec.providers[1]": {"name": "hosted", "type": "Anthropic"}},
        "spec.providers[1].anthropic",
        says="is required with type Anthropic",
    ),
    bad(
        "anthropic with a foreign section",
        {"spec.providers[1]": {**ANTHROPIC, "openAI": {}}},
        "spec.providers[1].openAI",
        says="is only for type OpenAI",
    ),
    bad(
        "openai with the section of anthropic",
        {"spec.providers[1]": {**OPENAI, "anthropic": {}}},
        "spec.providers[1].anthropic",
        says="is only for type Anthropic",
    ),
    good("anthropic with a model", WITH_ANTHROPIC),
    bad(
        "anthropic without a model",
        {**WITH_ANTHROPIC, "spec.routes[0].chain[1].model": REMOVED},
        "spec.routes",
        says="a provider that is not Scripted needs a model in route: chat; add chain[].model",
    ),
    good("scripted with a model", {"spec.routes[0].chain[0].model": "any"}),
)

_TOGETHER = (
    good("smallest", {}),
    bad(
        "two rules of one object",
        {"spec.agents[0].route": "chit", "spec.workflow.entry": "third"},
        "spec.agents",
        "spec.workflow.entry",
    ),
    bad(
        "rules at two depths",
        {"spec.agents[0].route": "chit", "spec.agents[0].env": [{"name": "POD_IP"}]},
        "spec.agents",
        "spec.agents[0].env[0].name",
    ),
    bad(
        "name of the system and a rule of the spec",
        {"metadata.name": "a--b", "spec.agents[0].route": "chit"},
        "metadata.name",
        "spec.agents",
    ),
    bad(
        "two faults of the structure",
        {"spec.agents[0].replicas": 101, "spec.paused": "yes"},
        "spec.agents[0].replicas",
        "spec.paused",
    ),
)

CASES = (*_TOGETHER, *_AGENTS, *_SESSIONS, *_PROVIDERS)
