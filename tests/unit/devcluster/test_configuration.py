"""What is rendered for the cluster's programs agrees with itself."""

import base64
import json
import re
from pathlib import Path

import pytest

from devcluster import build, client, control_plane, fake_nodes, layout, node_config, objects, pki

NODES = layout.nodes(2)


def flags(program: control_plane.Program) -> dict[str, str]:
    return dict(
        flag.removeprefix("--").split("=", 1) for flag in program.command if flag.startswith("--")
    )


def test_the_front_proxy_has_an_authority_of_its_own() -> None:
    """The apiserver does not start when it is the clients' authority."""
    given = flags(control_plane.apiserver())
    assert given["requestheader-client-ca-file"] != given["client-ca-file"]


def test_the_apiserver_listens_for_pods_under_the_address_that_it_tells_them() -> None:
    given = flags(control_plane.apiserver())
    assert given["advertise-address"] in pki.APISERVER_HOSTS
    assert given["kubelet-preferred-address-types"] == "InternalIP"


@pytest.mark.parametrize("program", [control_plane.controller_manager(), control_plane.scheduler()])
def test_controllers_keep_upstream_timings(program: control_plane.Program) -> None:
    tuned = [flag for flag in flags(program) if "qps" in flag or "period" in flag]
    assert tuned == []


def test_a_rate_that_was_asked_for_lifts_all_controllers_and_the_scheduler() -> None:
    controllers = flags(control_plane.controller_manager(200))
    assert (controllers["kube-api-qps"], controllers["kube-api-burst"]) == ("200", "300")
    assert controllers["concurrent-deployment-syncs"] == "50"
    assert flags(control_plane.scheduler(200))["kube-api-qps"] == "200"


def test_a_low_rate_takes_no_worker_away() -> None:
    controllers = flags(control_plane.controller_manager(5))
    assert controllers["kube-api-qps"] == "5"
    assert controllers["concurrent-gc-syncs"] == "20"
    assert flags(control_plane.scheduler(5)) == flags(control_plane.scheduler())


def test_pods_of_fake_nodes_must_tolerate_and_may_select_them() -> None:
    (node,) = [m for m in fake_nodes.manifests(layout.fake_nodes(1)) if m["kind"] == "Node"]
    metadata, spec = node["metadata"], node["spec"]
    assert isinstance(metadata, dict)
    assert isinstance(spec, dict)
    (selector,) = (f"{key}={value}" for key, value in fake_nodes.LABEL.items())
    assert f"--manage-nodes-with-label-selector={selector}" in fake_nodes.program().command
    assert metadata["labels"].items() >= fake_nodes.LABEL.items()
    assert spec["taints"] == [fake_nodes.TAINT]


def test_a_clusters_namespaces_choose_nodes_only_where_some_are_fake() -> None:
    plugins = "enable-admission-plugins"
    assert flags(control_plane.apiserver())[plugins] == "NodeRestriction"
    assert "PodNodeSelector" in flags(control_plane.apiserver(fake_nodes=True))[plugins]


def test_every_certificate_that_a_program_uses_is_made() -> None:
    made = {leaf["name"] for leaf in pki.wanted(NODES)["leaves"]}  # type: ignore[attr-defined]  # JSON
    used = set()
    for program in (
        control_plane.apiserver(),
        control_plane.controller_manager(),
        control_plane.metrics_server(),
    ):
        for value in flags(program).values():
            if value.startswith(str(control_plane.KEYS)) and value.endswith(".crt"):
                used.add(Path(value).stem)
    assert used - made == {"ca", "front-proxy-ca"}
    assert {node.name for node in NODES} <= made


def test_the_audit_policy_drops_nothing_that_a_user_of_the_cluster_asks() -> None:
    rules = json.loads(control_plane.audit_policy())["rules"]
    assert rules[-1] == {"level": "Metadata"}
    for rule in rules[:-1]:
        probes = all("z*" in url for url in rule.get("nonResourceURLs", []))
        assert probes
        assert "nonResourceURLs" in rule or "userGroups" in rule or "users" in rule


def test_a_node_gives_pods_addresses_of_the_range_that_its_object_says() -> None:
    for node in NODES:
        plugin = json.loads(node_config.cni(node, isolated=True))["plugins"][0]
        written = objects.node(node)["spec"]
        assert plugin["ipam"]["ranges"] == [[{"subnet": node.pod_cidr}]]
        assert isinstance(written, dict)
        assert written["podCIDRs"] == [node.pod_cidr]


def test_nodes_share_no_directory() -> None:
    first, second = (json.loads(node_config.kubelet(node, "agentsystem-x")) for node in NODES)
    for key in ("podLogsDir", "volumePluginDir", "cgroupRoot", "tlsPrivateKeyFile", "address"):
        assert first[key] != second[key]


def test_the_kubelet_waits_for_containerd() -> None:
    programs = node_config.processes(NODES[0], isolated=True)
    kubelet = next(p for p in programs if p["name"] == "kubelet")
    config = json.loads(node_config.kubelet(NODES[0], "agentsystem-x"))
    assert config["containerRuntimeEndpoint"] == f"unix://{kubelet['after']}"
    assert config["cgroupRoot"] == "/agentsystem-x/node-1"


def test_pods_wait_for_the_enforcer_where_policies_are_enforced_and_only_there() -> None:
    """A plugin that waits for a program that is not started would keep pods from starting."""
    for isolated in (True, False):
        programs = [p["name"] for p in node_config.processes(NODES[0], isolated=isolated)]
        plugins = [
            p["type"] for p in json.loads(node_config.cni(NODES[0], isolated=isolated))["plugins"]
        ]
        assert ("network-policies" in programs) is isolated
        assert plugins == ["ptp", "isolate"] if isolated else plugins == ["ptp"]
    assert str(node_config.OWN_CNI_BIN) in node_config.containerd(NODES[0])
    assert "isolate" in dict(build.MODULES[0].packages)


def test_sockets_fit_the_kernels_limit() -> None:
    assert len(str(node_config.SOCKET)) < 108
    assert len(f"{node_config.state(layout.Node(20))}/kubelet/pod-resources/kubelet.sock") < 108


def test_every_added_object_has_a_path() -> None:
    paths = [client.path_of(manifest) for manifest in objects.addons()]
    assert len(set(paths)) == len(paths)
    assert "/api/v1/namespaces/kube-system/services/kube-dns" in paths
    assert "/apis/storage.k8s.io/v1/storageclasses/standard" in paths


def test_pods_ask_the_dns_server_that_the_service_leads_to() -> None:
    kubelet = json.loads(node_config.kubelet(NODES[0], "agentsystem-x"))
    service = objects.addons()[0]["spec"]
    assert isinstance(service, dict)
    assert kubelet["clusterDNS"] == [service["clusterIP"]]
    assert f"bind {layout.GATEWAY}" in control_plane.corefile(egress=False)


def test_names_of_others_are_asked_outside_only_where_there_is_a_way_out() -> None:
    assert f"forward . {layout.EGRESS_DNS}" in control_plane.corefile(egress=True)
    assert "forward" not in control_plane.corefile(egress=False)


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("nobody.", True),
        ("nobody.shop.svc.", True),
        ("svc.", True),
        ("a.invalid.", True),
        ("api.openai.com.", False),
        ("svc.example.", False),
        ("mysvc.", True),
        ("a.mysvc.", False),
        (".", False),
    ],
)
def test_names_that_nobody_outside_knows_stay_inside(name: str, local: bool) -> None:
    assert bool(re.search(control_plane.LOCAL_NAMES, name)) is local


def test_a_kubeconfig_carries_its_keys_by_value(tmp_path: Path) -> None:
    for name in ("ca.crt", "admin.crt", "admin.key"):
        (tmp_path / name).write_text(name)
    config = json.loads(pki.kubeconfig("https://127.0.0.1:1", tmp_path, "admin", "devcluster-x"))
    (user,) = config["users"]
    assert base64.b64decode(user["user"]["client-key-data"]) == b"admin.key"
    assert config["current-context"] == "devcluster-x"


def test_a_private_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    pki.write_private(path, "secret")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("secret", 0o600)


def test_only_an_apiserver_for_load_trades_memory_for_time() -> None:
    assert control_plane.apiserver().environment == ()
    assert dict(control_plane.apiserver(for_load=True).environment) == {"GOGC": "400"}
