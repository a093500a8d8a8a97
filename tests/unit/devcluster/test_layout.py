"""Two clusters on one machine share no name, place or port."""

import ipaddress
import itertools
from pathlib import Path

import pytest

from devcluster import fake_nodes, layout
from devcluster.errors import DevClusterError

HOME = {"XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "/c"}


@pytest.mark.parametrize("name", ["a", "demo", "dc1", "my-cluster", "a" * 20])
def test_a_good_name_is_taken(name: str) -> None:
    assert layout.cluster(name, HOME).state == Path("/s/agentsystem/clusters") / name


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a-", "a_b", "a/b", "..", "a" * 21])
def test_a_bad_name_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(DevClusterError, match="1 to 20 lower-case letters"):
        layout.cluster(name, HOME)


def test_everything_that_clusters_could_fight_over_carries_the_name() -> None:
    one, two = layout.cluster("one", HOME), layout.cluster("two", HOME)
    assert one.bridge == "br-one"
    assert one.cgroup == "agentsystem-one"
    shared = {one.bridge, one.cgroup, one.state, one.lock, one.alive, one.socket}
    assert not shared & {two.bridge, two.cgroup, two.state, two.lock, two.alive, two.socket}


def test_the_longest_name_gives_a_bridge_that_the_kernel_takes() -> None:
    assert len(layout.cluster("a" * 20, HOME).bridge) == 15


def test_the_port_follows_from_the_name() -> None:
    ports = {layout.preferred_port(name) for name in ("demo", "test", "dc1", "dc2")}
    assert len(ports) == 4
    assert all(26000 <= port < 30000 for port in ports)
    assert layout.preferred_port("demo") == layout.preferred_port("demo")


def test_a_relative_xdg_directory_is_ignored() -> None:
    assert layout.cache_home({"XDG_CACHE_HOME": "x"}) == Path.home() / ".cache/agentsystem"


def test_nodes_have_addresses_of_their_own() -> None:
    first, second = layout.nodes(2)
    assert (first.name, first.ip, first.pod_cidr) == ("node-1", "10.200.0.11", "10.244.1.0/24")
    assert (second.name, second.ip, second.pod_cidr) == ("node-2", "10.200.0.12", "10.244.2.0/24")


def test_no_range_of_addresses_lies_in_another() -> None:
    nodes = f"{layout.GATEWAY}/{layout.NODE_PREFIX}"
    pods = (layout.POD_RANGE, layout.FAKE_POD_RANGE)
    given = (*pods, layout.SERVICE_RANGE, layout.EGRESS_RANGE, nodes)
    ranges = [ipaddress.ip_network(each, strict=False) for each in given]
    assert not any(one.overlaps(two) for one, two in itertools.combinations(ranges, 2))
    assert ipaddress.ip_address(layout.EGRESS_DNS) in ipaddress.ip_network(layout.EGRESS_RANGE)


def test_every_fake_node_has_addresses_for_all_its_pods() -> None:
    nodes = layout.fake_nodes(layout.MAX_FAKE_NODES)
    ranges = [ipaddress.ip_network(node.pod_cidr) for node in nodes]
    whole = ipaddress.ip_network(layout.FAKE_POD_RANGE)
    assert all(each.overlaps(whole) and each.prefixlen > whole.prefixlen for each in ranges)
    assert all(each.num_addresses >= fake_nodes.PODS_PER_NODE for each in ranges)
    assert not any(one.overlaps(two) for one, two in itertools.combinations(ranges, 2))


@pytest.mark.parametrize("count", [-1, 21])
def test_an_impossible_number_of_fake_nodes_is_refused(count: int) -> None:
    with pytest.raises(DevClusterError, match="--fake-nodes"):
        layout.fake_nodes(count)


def test_an_apiserver_alone_has_no_nodes() -> None:
    assert layout.nodes(0) == ()


@pytest.mark.parametrize("count", [-1, 21])
def test_an_impossible_number_of_nodes_is_refused(count: int) -> None:
    with pytest.raises(DevClusterError, match="--nodes"):
        layout.nodes(count)
