"""What a spec says about pods in Kubernetes' own words: resources and tolerations."""

from typing import Any

from tests.contract.api.case import Case, bad, good

ALL = "spec.runtime.resources"
ONE = "spec.agents[0].resources"
TOLERATION = "spec.runtime.tolerations[0]"


def _resources(
    requests: dict[str, Any], limits: dict[str, Any], *, at: str = ALL
) -> dict[str, Any]:
    return {at: {"requests": requests, "limits": limits}}


_NO_CPU: tuple[Any, ...] = ("abc", "-1", -1, "1Gi", "0.0001", "", True, [], {})

_RESOURCES = (
    good("no resources", {ALL: {}}),
    good(
        "resources",
        _resources(
            {"cpu": "250m", "memory": "64Mi", "ephemeral-storage": "1Gi"},
            {"cpu": 1, "memory": "512Mi"},
        ),
    ),
    good("equal in another spelling", _resources({"cpu": "1000m"}, {"cpu": "1"})),
    good("equal disk", _resources({"ephemeral-storage": 1024}, {"ephemeral-storage": "1Ki"})),
    bad(
        "cpu above its limit",
        _resources({"cpu": "0.25"}, {"cpu": "249m"}),
        f"{ALL}.requests",
        says="cpu is above its limit; lower it or raise limits.cpu",
    ),
    bad(
        "memory above its limit",
        _resources({"memory": "1Gi"}, {"memory": "1000M"}, at=ONE),
        f"{ONE}.requests",
        says="memory is above its limit; lower it or raise limits.memory",
    ),
    bad(
        "disk above its limit",
        _resources({"ephemeral-storage": 1025}, {"ephemeral-storage": "1Ki"}, at=ONE),
        f"{ONE}.requests",
        says="ephemeral-storage is above its limit",
    ),
    *(
        bad(f"cpu {amount!r}", {ALL: {"limits": {"cpu": amount}}}, f"{ALL}.limits.cpu")
        for amount in _NO_CPU
    ),
    *(
        bad(f"memory {amount!r}", {ALL: {"limits": {"memory": amount}}}, f"{ALL}.limits.memory")
        for amount in ("abc", -1, "100m", "1.5Gi", 1.5)
    ),
    bad(
        "request that is no quantity",
        _resources({"cpu": "abc"}, {"cpu": 1}),
        f"{ALL}.requests.cpu",
    ),
    bad("resource of no known name", {ALL: {"limits": {"cpus": 1}}}, f"{ALL}.limits.cpus"),
)


def _toleration(toleration: dict[str, Any], *wrong: str, says: str = "") -> Case:
    changes = {"spec.runtime.tolerations": [toleration]}
    fields = [f"{TOLERATION}.{field}" for field in wrong]
    return Case(f"toleration {toleration}", changes, tuple(fields), says)


_TOLERATIONS = (
    _toleration({"operator": "Exists"}),
    _toleration({"key": "team", "value": "agents", "effect": "NoSchedule"}),
    _toleration({"key": "team"}),
    _toleration({"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9}),
    _toleration({}, "operator", says="must be Exists when no key is given"),
    _toleration({"key": "a", "operator": "Exists", "value": "b"}, "value", says="is not allowed"),
    _toleration(
        {"key": "a", "tolerationSeconds": 9}, "tolerationSeconds", says="needs effect NoExecute"
    ),
    _toleration({"key": "a", "effect": "Never"}, "effect"),
    _toleration({"key": "a", "operator": "Like"}, "operator"),
    _toleration({"key": "a b"}, "key"),
    _toleration({"key": "a", "value": "b c"}, "value"),
)

CASES = (*_RESOURCES, *_TOLERATIONS)
