"""What is wrong with a node's network, on demand: packets dropped or late, in both directions.

Dropping is done by a firewall table of the node's own namespace, which nobody else there uses.
Delay is done by a process between the node's interface and the bridge, since kernels may lack
netem. Faults end with the node's power, as both live in what that takes along.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from devcluster import client, layout, machines
from devcluster.control_plane import Program
from devcluster.errors import DevClusterError
from devcluster.processes import Kept, run

MAX_DELAY_MS = 10_000
WIRE_LIMIT_S = 5.0

_TABLE = "ip devcluster-faults"
_PARTS = 10_000  # percents are given to two decimals


class Cut(StrEnum):
    """Whom a node can be cut off from."""

    NOBODY = ""
    ALL = "all"
    APISERVER = "apiserver"


@dataclass(frozen=True)
class Faults:
    """Whom the node is cut off from, how much is lost each way, how late each way it arrives."""

    cut: Cut = Cut.NOBODY
    loss_percent: float = 0.0
    delay_ms: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0 <= self.loss_percent <= 100:
            raise DevClusterError(f"--percent {self.loss_percent:g}: use 0 to 100")
        if not 0 <= self.delay_ms <= MAX_DELAY_MS:
            raise DevClusterError(f"--ms {self.delay_ms}: use 0 to {MAX_DELAY_MS}")

    def __str__(self) -> str:
        """Return the faults in words, "" if there are none."""
        said = []
        if self.cut is not Cut.NOBODY:
            said.append("cut off" if self.cut is Cut.ALL else "cut off from the apiserver")
        if self.loss_percent:
            said.append(f"{self.loss_percent:g} % lost each way")
        if self.delay_ms:
            said.append(f"{self.delay_ms} ms late each way")
        return ", ".join(said)


def ruleset(faults: Faults) -> str:
    """Return the nft commands that make the node's table say this and nothing else."""
    incoming, outgoing = _rules(faults, "iifname", "s"), _rules(faults, "oifname", "d")
    lines = [f"add table {_TABLE}", f"delete table {_TABLE}"]
    if incoming:
        lines += [
            f"add table {_TABLE}",
            # before connections are tracked, and after addresses were rewritten
            *_chain("incoming", "prerouting priority -400", incoming),
            *_chain("outgoing", "postrouting priority 400", outgoing),
        ]
    return "\n".join(lines)


def _chain(name: str, hook: str, rules: list[str]) -> list[str]:
    head = f"add chain {_TABLE} {name} {{ type filter hook {hook} ; }}"
    return [head, *(f"add rule {_TABLE} {name} {rule} drop" for rule in rules)]


def _rules(faults: Faults, interface: str, end: str) -> list[str]:
    """Return what to drop; `end` is "s" where the far end is the source, else "d"."""
    here = f'{interface} "eth0"'
    rules = []
    if faults.cut is Cut.ALL:
        rules.append(here)
    elif faults.cut is Cut.APISERVER:
        # the same address answers for DNS, without which pods could not talk
        far = f"ip {end}addr {layout.GATEWAY} meta l4proto {{ tcp, udp }}"
        rules.append(f"{here} {far} th {end}port != 53")
    if faults.loss_percent:
        lost = round(faults.loss_percent * _PARTS / 100)
        rules.append(f"{here} numgen random mod {_PARTS} < {lost}")
    return rules


def delayer(node: layout.Node, bridge: str, delay_ms: int) -> Program:
    """Return what takes the place of the node's interface at the bridge."""
    tools = str(layout.INSIDE_BIN / "tools" / "devcluster-tools")
    name = f"delay-{node.name}"
    return Program(name, (tools, "delay", node.name, bridge, name, str(delay_ms)))


class Cable:
    """One node's connection with everybody, and what is wrong with it."""

    def __init__(self, machine: machines.Machine, bridge: str, say: Callable[[str], None]) -> None:
        self._machine = machine
        self._bridge = bridge
        self._say = say
        self._lock = threading.Lock()
        self._delayer: Kept | None = None
        self.faults = Faults()

    def cut(self, whom: str) -> None:
        """Drop all that the node says to, or hears from, everybody or the apiserver."""
        self._become(cut=Cut(whom))

    def lose(self, percent: float) -> None:
        """Drop this share of packets in each direction."""
        self._become(loss_percent=percent)

    def delay(self, ms: int) -> None:
        """Hold back each packet in each direction."""
        self._become(delay_ms=ms)

    def mend(self) -> None:
        """End all faults."""
        self._become(cut=Cut.NOBODY, loss_percent=0.0, delay_ms=0)

    def forget(self) -> None:
        """Let go of the interface, which is about to vanish with the node."""
        with self._lock:
            if self._delayer is not None:
                self._delayer.stop()
            self._delayer = None
            self.faults = Faults()

    def _become(self, **changes: Any) -> None:
        with self._lock:
            faults = replace(self.faults, **changes)
            self._machine.enter("nft", ruleset(faults))
            if faults.delay_ms != self.faults.delay_ms:
                self._unhold()
                if faults.delay_ms:
                    self._hold(faults.delay_ms)
            self.faults = faults

    def _hold(self, delay_ms: int) -> None:
        program = delayer(self._machine.node, self._bridge, delay_ms)
        kept = Kept(program.name, program.command, layout.INSIDE_STATE / "logs", say=self._say)
        kept.start()
        self._delayer = kept

        def wired() -> bool:
            links = run("ip", "-brief", "link", "show", "master", self._bridge)
            return program.name in links

        try:
            client.wait(f"{program.name} (see its log)", wired, WIRE_LIMIT_S)
        except DevClusterError:
            self._unhold()
            raise

    def _unhold(self) -> None:
        if self._delayer is None:
            return
        self._delayer.stop()
        self._delayer = None
        run("ip", "link", "set", self._machine.node.name, "master", self._bridge, "arp", "on")
