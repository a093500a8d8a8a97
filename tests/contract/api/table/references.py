"""Names that refer to other parts of the spec or to objects beside it, and names used twice."""

from tests.contract.api.case import bad, good

UNKNOWN_PROVIDER = "unknown provider in route: chat; declare it in spec.providers"
ANSWERS = "spec.providers[0].scripted.configMapKeyRef"

_INSIDE = (
    bad(
        "unknown route",
        {"spec.agents[0].route": "chit"},
        "spec.agents",
        says="unknown route: chit; declare it in spec.routes",
    ),
    bad(
        "unknown provider",
        {"spec.routes[0].chain[0].provider": "gone"},
        "spec.routes",
        says=UNKNOWN_PROVIDER,
    ),
    bad(
        "unknown provider behind a known one",
        {"spec.routes[0].chain[1]": {"provider": "gone"}},
        "spec.routes",
        says=UNKNOWN_PROVIDER,
    ),
    good("provider twice in a chain", {"spec.routes[0].chain[1]": {"provider": "canned"}}),
)

_BESIDE = (
    good("answers in a ConfigMap", {ANSWERS: {"name": "fallback", "key": "answers.yaml"}}),
    bad(
        "ConfigMap elsewhere", {ANSWERS: {"name": "other/fallback", "key": "a"}}, f"{ANSWERS}.name"
    ),
    bad("ConfigMap without a key", {ANSWERS: {"name": "fallback"}}, f"{ANSWERS}.key"),
    bad("key that leaves the volume", {ANSWERS: {"name": "a", "key": ".."}}, f"{ANSWERS}.key"),
    bad("key that hides", {ANSWERS: {"name": "a", "key": "..data"}}, f"{ANSWERS}.key"),
    bad("key with a path", {ANSWERS: {"name": "a", "key": "a/b"}}, f"{ANSWERS}.key"),
    good("key with a dot first", {ANSWERS: {"name": "a", "key": ".a"}}),
    bad(
        "instructions from nowhere",
        {"spec.agents[0].instructionsFrom": {}},
        "spec.agents[0].instructionsFrom.configMapKeyRef",
    ),
)

_TWICE = (
    bad(
        "agent twice",
        {"spec.agents[1]": {"name": "front", "route": "chat"}, "spec.workflow.entry": "front"},
        "spec.agents[1]",
    ),
    bad(
        "route twice",
        {"spec.routes[1]": {"name": "chat", "chain": [{"provider": "canned"}]}},
        "spec.routes[1]",
    ),
    bad(
        "provider twice",
        {"spec.providers[1]": {"name": "canned", "type": "Scripted"}},
        "spec.providers[1]",
    ),
    bad(
        "variable twice",
        {"spec.agents[0].env": [{"name": "A"}, {"name": "A"}]},
        "spec.agents[0].env[1]",
    ),
    bad(
        "pull secret twice",
        {"spec.runtime.imagePullSecrets": [{"name": "a"}, {"name": "a"}]},
        "spec.runtime.imagePullSecrets[1]",
    ),
)

CASES = (*_INSIDE, *_BESIDE, *_TWICE)
