"""The manifests under config/ hold what the documentation promises; no cluster is needed."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from agent_runtime.providers import script
from agentsystem_operator import settings
from agentsystem_operator.adapters import resources
from agentsystem_operator.adapters.channel import secret
from agentsystem_operator.api import resource
from agentsystem_operator.model import names
from agentsystem_operator.model.references import Kind

ROOT = pathlib.Path(__file__).resolve().parents[3]
CONFIG = ROOT / "config"
CLUSTER_WIDE = ("crds", "config/default", "config/rbac", "config/rbac/account", "config/manager")
NAMESPACED = ("config/namespaced", "config/namespaced/tenant")
RIGHTS = ("config/rbac", "config/rbac/account", "config/namespaced/tenant")
CHANNEL_ROLE = "agentsystem-operator-channel"
Object = dict[str, Any]


def objects(*folders: str) -> Iterator[Object]:
    """All objects in the YAML files of those folders, kustomizations aside."""
    for folder in folders:
        for file in sorted((ROOT / folder).glob("*.yaml")):
            if file.name != "kustomization.yaml":
                yield from yaml.safe_load_all(file.read_text())


def only(kind: str, name: str = "agentsystem-operator") -> Object:
    """The one object of that kind and name."""
    found = [
        each
        for each in objects(*CLUSTER_WIDE)
        if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    assert len(found) == 1
    return found[0]


def granted(role: Object) -> dict[tuple[str, str], set[str]]:
    """Verbs by group and resource."""
    return {
        (group, name): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for name in rule["resources"]
    }


@pytest.mark.parametrize("folder", CLUSTER_WIDE + NAMESPACED)
def test_a_kustomization_lists_exactly_the_files_beside_it(folder: str) -> None:
    listed = yaml.safe_load((ROOT / folder / "kustomization.yaml").read_text())["resources"]
    there = {file.name for file in (ROOT / folder).glob("*.yaml")} - {"kustomization.yaml"}

    assert {name for name in listed if name.endswith(".yaml")} == there
    assert all((ROOT / folder / name).exists() for name in listed)


@pytest.mark.parametrize("kind", ["ClusterRole", "Role"])
def test_no_right_is_a_wildcard_and_none_is_about_secrets_but_our_own(kind: str) -> None:
    roles = [each for each in objects(*RIGHTS) if each["kind"] == kind]

    assert roles
    for role in roles:
        for (group, name), verbs in granted(role).items():
            assert "*" not in {group, name, *verbs}, role["metadata"]["name"]
            assert name != "secrets" or role["metadata"]["name"] == CHANNEL_ROLE


def test_the_operator_may_do_exactly_what_its_adapters_do() -> None:
    seen = {"get", "list", "watch"}
    owned = {*seen, "create", "patch", "delete"}
    want = {(each.group, each.plural): owned for each in resources.CHILDREN.values()}
    claims = resources.CHILDREN[Kind.PERSISTENT_VOLUME_CLAIM]
    want[claims.group, claims.plural] = owned - {"delete"}  # sessions outlive their system
    want["apps", "replicasets"] = {"list", "watch"}
    want["apps", "deployments/scale"] = {"patch"}
    want[resources.EVENT.group, resources.EVENT.plural] = {"create"}
    system = resources.AGENT_SYSTEM
    want[system.group, system.plural] = seen
    want[system.group, f"{system.plural}/status"] = {"patch"}

    assert granted(only("ClusterRole")) == want


def test_a_served_namespace_grants_what_the_cluster_would_to_the_same_account() -> None:
    (role,) = [each for each in objects("config/namespaced/tenant") if each["kind"] == "Role"]
    (binding,) = [
        each for each in objects("config/namespaced/tenant") if each["kind"] == "RoleBinding"
    ]

    assert role["rules"] == only("ClusterRole")["rules"]
    assert binding["subjects"] == only("ClusterRoleBinding")["subjects"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    # Which namespace it is, is said on installation.
    assert "namespace" not in role["metadata"] | binding["metadata"]


def test_a_lease_can_be_taken_only_in_the_operators_namespace() -> None:
    role = only("Role", "agentsystem-operator-leader")
    lease = resources.LEASE

    assert {(lease.group, lease.plural)} == set(granted(role))
    assert [rule.get("resourceNames") for rule in role["rules"] if "create" not in rule["verbs"]]
    for rule in role["rules"]:
        assert rule["verbs"] == ["create"] or rule["resourceNames"] == ["agentsystem-shard-0"]


def test_one_secret_can_be_read_and_replaced_by_name_and_is_shipped_empty() -> None:
    role, shipped = only("Role", CHANNEL_ROLE), only("Secret", secret.NAME)

    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": [secret.NAME],
            "verbs": ["get", "update"],
        }
    ]
    # An apply that states no data takes none away.
    assert set(shipped) == {"apiVersion", "kind", "metadata", "type"}


def test_the_namespace_enforces_the_restricted_standard() -> None:
    labels = only("Namespace", "agentsystem-system")["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_operators_pods_are_reached_at_their_ports_only_and_the_channel_by_agents() -> None:
    """Ports are those of the container; what it opens itself goes to an apiserver anywhere."""
    policy = only("NetworkPolicy")["spec"]
    pod = only("Deployment")["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    http, channel = (port["containerPort"] for port in container["ports"])
    agents = {"matchLabels": {names.MANAGED_BY: names.OPERATOR}}

    assert policy["podSelector"]["matchLabels"] == pod["metadata"]["labels"]
    assert policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"] == [
        {"ports": [{"port": http, "protocol": "TCP"}]},
        {
            "from": [{"namespaceSelector": {}, "podSelector": agents}],
            "ports": [{"port": channel, "protocol": "TCP"}],
        },
    ]


def test_pods_find_the_channel_where_the_operator_says_it_is() -> None:
    service = only("Service", settings.CHANNEL_SERVICE)
    (port,) = service["spec"]["ports"]
    (container,) = only("Deployment")["spec"]["template"]["spec"]["containers"]
    told = {entry["name"]: entry.get("value") for entry in container["env"]}
    found = settings.parse([], {name: value for name, value in told.items() if value})

    assert port["port"] == settings.CHANNEL_PORT
    assert port["targetPort"] in {each["name"] for each in container["ports"]}
    assert found.channel == ("0.0.0.0", settings.CHANNEL_PORT)  # noqa: S104
    host = f"{settings.CHANNEL_SERVICE}.{settings.NAMESPACE}.svc"
    assert found.channel_service == f"{host}:{settings.CHANNEL_PORT}"


def test_the_operators_pods_are_not_taken_for_children() -> None:
    """Reflectors select by this label; the operator must never see itself."""
    for each in objects(*CLUSTER_WIDE, *NAMESPACED):
        assert "app.kubernetes.io/managed-by" not in each["metadata"].get("labels", {})
    template = only("Deployment")["spec"]["template"]
    assert "app.kubernetes.io/managed-by" not in template["metadata"]["labels"]


def test_the_operator_runs_twice_with_requests_and_without_privileges() -> None:
    deployment = only("Deployment")["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]

    assert deployment["replicas"] == 2
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    told = {entry["name"] for entry in container["env"]}
    of_the_pod = {"POD_IP", "POD_NAME", "POD_NAMESPACE", "POD_UID"}
    assert told == {"AGENTSYSTEM_RUNTIME_IMAGE", "AGENTSYSTEM_CHANNEL", *of_the_pod}


@pytest.mark.parametrize("file", sorted((CONFIG / "samples").glob("*.yaml")), ids=lambda f: f.stem)
def test_a_sample_is_valid_and_goes_into_any_namespace(file: pathlib.Path) -> None:
    for each in yaml.safe_load_all(file.read_text()):
        assert "namespace" not in each["metadata"]
        if each["kind"] == "ConfigMap":
            for name, text in each["data"].items():
                script.parse(text, path=name)
            continue
        where = {"namespace": "shop", "uid": "u", "generation": 1}
        parsed = resource.parse({**each, "metadata": {**each["metadata"], **where}})
        assert isinstance(parsed, resource.AgentSystem), parsed
