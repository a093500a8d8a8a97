"""Names of the system, its parts and its variables, at their bounds and beyond."""

from tests.contract.api.case import bad, good

RESERVED = "names that start with AGENT_ or POD_ are set by the operator; rename it"


def _agent(name: str) -> dict[str, str]:
    return {"spec.agents[0].name": name}


_SYSTEM = (
    good("system name of 30", {"metadata.name": "a" * 30}),
    bad(
        "system name of 31", {"metadata.name": "a" * 31}, "metadata.name", says="must be at most 30"
    ),
    *(
        bad(f"system name {name}", {"metadata.name": name}, "metadata.name", says="single '-'")
        for name in ("a--b", "1a", "a.b")
    ),
    bad("system name that no object may have", {"metadata.name": "A_b"}, "metadata.name"),
)

_PARTS = (
    good("agent name of 20", _agent("a" * 20)),
    *(
        bad(f"agent name {name!r}", _agent(name), "spec.agents[0].name")
        for name in ("a" * 21, "a--b", "Front", "front-", "-front", "1st", "front\n", "", "frönt")
    ),
    bad("route name of 41", {"spec.routes[0].name": "a" * 41}, "spec.routes[0].name"),
    bad(
        "provider name like a path",
        {"spec.providers[0].name": "../x", "spec.routes[0].chain[0].provider": "../x"},
        "spec.providers[0].name",
        "spec.routes[0].chain[0].provider",
    ),
)

_VARIABLES = (
    bad(
        "reserved variable",
        {"spec.agents[0].env": [{"name": "AGENT_NAME", "value": "x"}]},
        "spec.agents[0].env[0].name",
        says=RESERVED,
    ),
    bad(
        "reserved variable for all",
        {"spec.runtime.env": [{"name": "POD_NAME", "value": "x"}]},
        "spec.runtime.env[0].name",
        says=RESERVED,
    ),
    good("nearly reserved variable", {"spec.runtime.env": [{"name": "AGENTS", "value": "x"}]}),
    good("variable without a value", {"spec.runtime.env": [{"name": "A"}]}),
    bad("variable with =", {"spec.runtime.env": [{"name": "A=B"}]}, "spec.runtime.env[0].name"),
    bad("variable without a name", {"spec.runtime.env": [{}]}, "spec.runtime.env[0].name"),
)

_IMAGES = (
    good(
        "image",
        {"spec.runtime.image": "registry.example:5000/a/agent-runtime:1.0@sha256:" + "0" * 64},
    ),
    bad("image with a blank", {"spec.runtime.image": "agent runtime"}, "spec.runtime.image"),
    bad("empty image", {"spec.runtime.image": ""}, "spec.runtime.image"),
    good("model of many", {"spec.routes[0].chain[0].model": "meta-llama/Llama-3.1-8B:free"}),
    bad(
        "model with a blank",
        {"spec.routes[0].chain[0].model": "gpt 4"},
        "spec.routes[0].chain[0].model",
    ),
)

CASES = (*_SYSTEM, *_PARTS, *_VARIABLES, *_IMAGES)
