"""Faults of a node's network: what is asked for is what the node's firewall and cable do."""

import argparse

import pytest

from devcluster import cli, faults, layout
from devcluster.errors import DevClusterError
from devcluster.faults import Cut, Faults


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Faults(), ""),
        (Faults(cut=Cut.ALL), "cut off"),
        (Faults(cut=Cut.APISERVER), "cut off from the apiserver"),
        (
            Faults(cut=Cut.APISERVER, loss_percent=0.5, delay_ms=20),
            "cut off from the apiserver, 0.5 % lost each way, 20 ms late each way",
        ),
    ],
)
def test_faults_are_said_in_words(given: Faults, words: str) -> None:
    assert str(given) == words


def drops(given: Faults) -> list[str]:
    return [line for line in faults.ruleset(given).splitlines() if line.endswith(" drop")]


def test_a_node_without_faults_has_no_table() -> None:
    assert faults.ruleset(Faults()).splitlines() == [
        "add table ip devcluster-faults",
        "delete table ip devcluster-faults",
    ]


def test_every_fault_is_in_both_directions() -> None:
    for given in (Faults(cut=Cut.ALL), Faults(cut=Cut.APISERVER), Faults(loss_percent=1)):
        incoming, outgoing = drops(given)
        assert 'incoming iifname "eth0"' in incoming
        assert 'outgoing oifname "eth0"' in outgoing


def test_a_node_that_is_cut_off_from_the_apiserver_still_resolves_names() -> None:
    incoming, outgoing = drops(Faults(cut=Cut.APISERVER))
    assert f"ip saddr {layout.GATEWAY} meta l4proto {{ tcp, udp }} th sport != 53" in incoming
    assert f"ip daddr {layout.GATEWAY} meta l4proto {{ tcp, udp }} th dport != 53" in outgoing


@pytest.mark.parametrize(("percent", "of_10000"), [(0.01, 1), (12.5, 1250), (100, 10000)])
def test_a_share_is_lost_to_two_decimals(percent: float, of_10000: int) -> None:
    assert all(
        f"mod 10000 < {of_10000} drop" in rule for rule in drops(Faults(loss_percent=percent))
    )


@pytest.mark.parametrize("percent", [-1, 100.5, float("nan")])
def test_an_impossible_share_is_refused(percent: float) -> None:
    with pytest.raises(DevClusterError, match="--percent"):
        Faults(loss_percent=percent)


@pytest.mark.parametrize("ms", [-1, faults.MAX_DELAY_MS + 1])
def test_an_impossible_delay_is_refused(ms: int) -> None:
    with pytest.raises(DevClusterError, match="--ms"):
        Faults(delay_ms=ms)


def test_the_longest_name_of_a_delayer_is_one_that_the_kernel_takes() -> None:
    program = faults.delayer(layout.Node(layout.MAX_NODES), "br-x", 5)
    assert len(program.name) <= layout.INTERFACE_LIMIT


def test_a_cut_is_from_everybody_unless_said_otherwise() -> None:
    for given, whom in (([], "all"), (["--from", "apiserver"], "apiserver")):
        arguments = ["node", "cut", "node-1", *given]
        chosen = cli.parser().parse_args(arguments, argparse.Namespace(command=[]))
        assert Cut(chosen.whom) is Cut(whom)
