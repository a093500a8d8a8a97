"""Strategies for resources that the schema and every rule accept, with wide coverage.

`specs()` gives the `spec` as a user writes it (camelCase JSON, defaults mostly left out),
`resources()` whole objects. Both shrink towards small resources.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]
Strategy = st.SearchStrategy[Json]


def _names(most: int) -> st.SearchStrategy[str]:
    """Return names: letters and digits with single '-' inside."""
    parts = st.lists(st.text("abxyz019", min_size=1, max_size=6), max_size=4)
    return st.builds(
        lambda first, rest: "-".join([first, *rest])[:most].rstrip("-"),
        st.sampled_from("abx"),
        parts,
    )


def _some(required: Mapping[str, Any], optional: Mapping[str, Any]) -> Strategy:
    """Return objects with all of the required and any of the optional fields."""
    return st.fixed_dictionaries(dict(required), optional=dict(optional))


def _by_name(items: Strategy, *, most: int, least: int = 0) -> st.SearchStrategy[list[Json]]:
    return st.lists(items, min_size=least, max_size=most, unique_by=lambda item: item["name"])


object_names = st.sampled_from(["a", "team-prompts", "keys.v1", "x" * 253])
data_keys = st.sampled_from(["key", "answers.yaml", ".hidden", "A_b-1", "k" * 253])
key_references = _some({"name": object_names, "key": data_keys}, {})
# Neither surrogates, which are no text, nor NUL, which no process environment can hold.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=80)
images = st.sampled_from(["agent-runtime:1.0", "registry.example:5000/a/b@sha256:" + "0" * 64])
models = st.sampled_from(["gpt-4o-mini", "meta-llama/Llama-3.1-8B:free", "m" * 200])
base_urls = st.sampled_from(
    [
        "https://api.openai.com/v1",
        "http://127.0.0.1:8000",
        "http://[2001:db8::1]:8080/v1",
        "http://models.shop.svc:8080/v1",
        "http://models.shop.svc.cluster.local",
        "https://api.example.com:8443/v1/",
    ]
)

env_names = (
    st.text("ABC_xyz019", min_size=1, max_size=12)
    .map(lambda name: f"_{name}" if name[0].isdigit() else name)
    .filter(lambda name: not name.startswith(("AGENT_", "POD_")))
)
environments = _by_name(_some({"name": env_names}, {"value": texts}), most=3)


@st.composite
def durations(draw: st.DrawFn, *, least_ms: int, most_ms: int) -> str:
    """Return a duration within bounds, in one unit or several."""
    length = draw(st.integers(least_ms, most_ms))
    minutes, rest = divmod(length, 60_000)
    spellings = [f"{minutes}m{rest}ms", f"{minutes // 60}h{minutes % 60}m{rest}ms"]
    if length % 1000 == 0 and length < 1_000_000_000:
        spellings.append(f"{length // 1000}s")
    return draw(st.sampled_from(spellings))


_BYTES = ("64Mi", 134_217_728, "1G", "2Gi")


@st.composite
def resources_of_pods(draw: st.DrawFn) -> Json:
    """Return requests and limits where no request is above its limit."""
    found: dict[str, Json] = {"requests": {}, "limits": {}}
    rising = {"cpu": ("250m", "0.5", 1, "2"), "memory": _BYTES, "ephemeral-storage": _BYTES}
    for resource, amounts in rising.items():
        low, high = sorted(draw(st.tuples(*[st.integers(0, len(amounts) - 1)] * 2)))
        if draw(st.booleans()):
            found["requests"][resource] = amounts[low]
        if draw(st.booleans()):
            found["limits"][resource] = amounts[high]
    return {side: amounts for side, amounts in found.items() if draw(st.booleans())}


label_keys = st.sampled_from(["team", "example.com/team", "a_b.c", "k" * 63])
label_values = st.sampled_from(["", "shop", "a_b.c-1", "v" * 63])
effects = st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"])
tolerations = st.one_of(
    _some({"operator": st.just("Exists")}, {"key": label_keys, "effect": effects}),
    _some({"key": label_keys}, {"value": label_values, "effect": effects}),
    _some(
        {"key": label_keys, "effect": st.just("NoExecute")},
        {"operator": st.just("Equal"), "tolerationSeconds": st.integers(0, 604_800)},
    ),
)

requirements = st.one_of(
    _some(
        {
            "key": label_keys,
            "operator": st.sampled_from(["In", "NotIn"]),
            "values": st.lists(label_values, min_size=1, max_size=3),
        },
        {},
    ),
    _some({"key": label_keys, "operator": st.sampled_from(["Exists", "DoesNotExist"])}, {}),
)
selectors = _some(
    {},
    {
        "matchLabels": st.dictionaries(label_keys, label_values, max_size=3),
        "matchExpressions": st.lists(requirements, max_size=2),
    },
)


@st.composite
def ip_blocks(draw: st.DrawFn) -> Json:
    """Return a network, perhaps with smaller ones inside it left out."""
    cidr = draw(st.sampled_from(["192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "198.51.100.7/32"]))
    around = ip_network(cidr)
    block: Json = {"cidr": cidr}
    if around.prefixlen < around.max_prefixlen and draw(st.booleans()):
        block["except"] = [str(next(around.subnets(prefixlen_diff=draw(st.integers(1, 8)))))]
    return block


peers = st.one_of(
    _some({"podSelector": selectors}, {"namespaceSelector": selectors}),
    _some({"namespaceSelector": selectors}, {}),
    _some({"ipBlock": ip_blocks()}, {}),
)
protocols = st.sampled_from(["TCP", "UDP", "SCTP"])
numbers = st.integers(1, 65535)
ports = st.one_of(
    _some(
        {}, {"protocol": protocols, "port": st.one_of(numbers, st.sampled_from(["http", "a-1"]))}
    ),
    st.tuples(numbers, numbers).map(lambda pair: {"port": min(pair), "endPort": max(pair)}),
)
egress_rules = st.one_of(
    _some({"to": st.lists(peers, min_size=1, max_size=2)}, {"ports": st.lists(ports, max_size=2)}),
    _some({"ports": st.lists(ports, min_size=1, max_size=2)}, {"to": st.just([])}),
)
networks = _some(
    {},
    {"egress": st.lists(egress_rules, max_size=2), "ingressFrom": st.lists(peers, max_size=2)},
)

runtimes = _some(
    {},
    {
        "image": images,
        "resources": resources_of_pods(),
        "env": environments,
        "tolerations": st.lists(tolerations, max_size=2),
        "imagePullSecrets": _by_name(_some({"name": object_names}, {}), most=2),
    },
)
endpoints = _some(
    {},
    {
        "baseURL": base_urls,
        "apiKeySecretRef": key_references,
        "timeout": durations(least_ms=100, most_ms=600_000),
    },
)
hosted = st.one_of(
    _some({"name": _names(40), "type": st.just("OpenAI"), "openAI": endpoints}, {}),
    _some({"name": _names(40), "type": st.just("Anthropic"), "anthropic": endpoints}, {}),
)
scripted = _some(
    {"name": _names(40), "type": st.just("Scripted")},
    {"scripted": _some({}, {"configMapKeyRef": key_references})},
)
providers = _by_name(st.one_of(scripted, hosted), least=1, most=4)


def _targets(known: Sequence[Json]) -> Strategy:
    """Return providers as links of a chain; one that is not Scripted has a model."""
    return st.sampled_from(known).flatmap(
        lambda provider: (
            _some({"provider": st.just(provider["name"]), "model": models}, {})
            if provider["type"] != "Scripted"
            else _some({"provider": st.just(provider["name"])}, {"model": models})
        )
    )


def _routes(known: Sequence[Json]) -> st.SearchStrategy[list[Json]]:
    chains = st.lists(_targets(known), min_size=1, max_size=3)
    return _by_name(_some({"name": _names(40), "chain": chains}, {}), least=1, most=3)


sources = _some({"configMapKeyRef": key_references}, {})


def _agents(routes: Sequence[Json], *, replicas: int) -> st.SearchStrategy[list[Json]]:
    def agent(prompt: Mapping[str, Any]) -> Strategy:
        return _some(
            {
                "name": _names(20),
                "route": st.sampled_from([route["name"] for route in routes]),
                **prompt,
            },
            {
                "replicas": st.integers(0, replicas),
                "resources": resources_of_pods(),
                "env": environments,
            },
        )

    prompts: tuple[Json, ...] = ({}, {"instructions": texts}, {"instructionsFrom": sources})
    return _by_name(st.one_of(*map(agent, prompts)), least=1, most=4)


@st.composite
def sessions(draw: st.DrawFn) -> Json:
    """Return stated sessions."""
    volume = _some(
        {},
        {"size": st.sampled_from(["1Gi", "500M", "1"]), "storageClassName": object_names},
    )
    store = draw(st.sampled_from(["Memory", "SQLite", "Redis", "Postgres"]))
    more: dict[str, Any] = {"sqlite": volume} if store == "SQLite" else {}
    more["ttl"] = durations(least_ms=1000, most_ms=8760 * 3_600_000)
    more["maxTurns"] = st.integers(1, 1000)
    return draw(_some({"store": st.just(store)}, more))


_KEY_SET = st.sampled_from(["https://id.example/keys", "http://id.ml.svc:8080"])
_words = texts.filter(bool)
_claims = _some({}, dict.fromkeys(("tenant", "roles", "priority"), _words))
_tokens = st.one_of(
    *(
        _some(
            {"issuer": _words, "audience": _words, **source},
            {"clockSkew": durations(least_ms=0, most_ms=300_000), "claims": _claims},
        )
        for source in ({"jwksURL": _KEY_SET}, {"sharedKeySecretRef": key_references})
    )
)
_auth = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("APIKey"), "apiKeys": st.fixed_dictionaries({"secretRef": key_references})}
    ),
    st.fixed_dictionaries({"type": st.just("JWT"), "jwt": _tokens}),
)


@st.composite
def stores(draw: st.DrawFn, needed: str | None) -> Json:
    """Return declared servers, with the one that is needed."""
    more = {
        "port": st.integers(1, 65535),
        "tls": st.booleans(),
        "passwordSecretRef": key_references,
    }
    host = st.sampled_from(["redis", "db.data.svc", "192.0.2.7", "2001:db8::7", "db.example.com"])
    names = st.sampled_from(["agents", "_a", "agents@server-1"])
    servers = {
        "redis": _some({"host": host}, more),
        "postgres": _some({"host": host, "database": names, "user": names}, more),
    }
    return {
        name: draw(server)
        for name, server in servers.items()
        if name == needed or draw(st.booleans())
    }


_cache = _some(
    {},
    {
        "ttl": durations(least_ms=1000, most_ms=168 * 3_600_000),
        "maxEntries": st.integers(1, 100_000),
    },
)

_rates = st.one_of(
    st.fixed_dictionaries({"requestsPerMinute": st.integers(1, 1_000_000)}),
    st.fixed_dictionaries({"requestsPerDay": st.integers(1, 1_000_000_000)}),
)
_limits_of_all = {"concurrentRequests": st.integers(1, 1024), "perAgent": _rates}


@st.composite
def _guard(draw: st.DrawFn) -> Json:
    guard: Json = {"auth": draw(_auth)}
    of_callers = {} if guard["auth"]["type"] == "None" else {"perKey": _rates, "perTenant": _rates}
    if draw(st.booleans()):
        guard["limits"] = draw(_some({}, {**_limits_of_all, **of_callers}))
    return guard


_usd = st.from_regex("[1-9][0-9]{0,5}([.][0-9]{1,6})?", fullmatch=True)


@st.composite
def _budget(draw: st.DrawFn, routes: list[Json]) -> Json:
    """A budget, with prices of some of what the routes ask."""
    targets = [target for route in routes for target in route["chain"] if target.get("model")]
    asked = {(target["provider"], target["model"]) for target in targets}
    price = st.fixed_dictionaries({"input": _usd, "output": _usd}, optional={"cacheRead": _usd})
    priced = draw(st.lists(st.sampled_from(sorted(asked)), unique=True)) if asked else []
    warn_at = draw(st.integers(1, 100))
    return {
        "amount": draw(_usd),
        "period": draw(st.sampled_from(["Day", "Month"])),
        "warnAt": warn_at,
        "degradeAt": draw(st.integers(warn_at, 100)),
        "prices": [
            {"provider": provider, "model": model, **draw(price)} for provider, model in priced
        ],
        **({"degradeRoute": draw(st.sampled_from(routes))["name"]} if draw(st.booleans()) else {}),
    }


@st.composite
def specs(draw: st.DrawFn) -> Json:
    """Return the spec of a valid AgentSystem."""
    tier = draw(st.sampled_from(["Development", "Testing", "Staging", "Production"]))
    spec: Json = {"tier": tier, "providers": draw(providers)}
    spec["routes"] = draw(_routes(spec["providers"]))
    stated = draw(sessions()) if tier in {"Staging", "Production"} or draw(st.booleans()) else None
    store = stated["store"] if stated else "SQLite" if tier == "Testing" else "Memory"
    spec["agents"] = draw(_agents(spec["routes"], replicas=1 if store == "SQLite" else 5))
    if stated or draw(st.booleans()):
        spec["memory"] = {"sessions": stated} if stated else {}
    if (needed := {"Redis": "redis", "Postgres": "postgres"}.get(store)) or draw(st.booleans()):
        spec["stores"] = draw(stores(needed))
    if draw(st.booleans()):
        spec["guard"] = {"encryption": {"keysSecretRef": draw(key_references)}}
    entries = st.sampled_from([agent["name"] for agent in spec["agents"]])
    if len(spec["agents"]) > 1 or draw(st.booleans()):
        spec["workflow"] = {"entry": draw(entries)}
    if tier != "Development" or draw(st.booleans()):
        spec["guard"] = draw(_guard())
    return spec | draw(_extras(spec, store))


@st.composite
def _extras(draw: st.DrawFn, spec: Json, store: str) -> Json:
    """Fields that a spec may have and that no other of its fields needs."""
    alone_on_disk = len(spec["agents"]) == 1 and store == "SQLite" and "sessions" in _memory(spec)
    values = {"runtime": runtimes, "network": networks, "cache": _cache, "paused": st.booleans()}
    if alone_on_disk or "redis" in spec.get("stores", {}):
        values["budget"] = _budget(spec["routes"])
    return {field: draw(value) for field, value in values.items() if draw(st.booleans())}


def _memory(spec: Json) -> Json:
    found: Json = spec.get("memory", {})
    return found


@st.composite
def resources(draw: st.DrawFn) -> Json:
    """Return a whole valid AgentSystem, as a user writes it."""
    return {
        "apiVersion": "agentsystem.dev/v1alpha1",
        "kind": "AgentSystem",
        "metadata": {"name": draw(_names(30)), "namespace": "default"},
        "spec": draw(specs()),
    }


def break_somewhere(
    body: Json, junk: object, draw: Callable[[st.SearchStrategy[Any]], Any]
) -> None:
    """Put junk, or nothing, in place of one value somewhere in the spec."""
    places = list(_places(body["spec"]))
    holder, key = draw(st.sampled_from(places))
    if draw(st.booleans()):
        holder[key] = junk
    else:
        del holder[key]


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(node) if isinstance(node, dict) else range(len(node))
    for key in keys:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key])
