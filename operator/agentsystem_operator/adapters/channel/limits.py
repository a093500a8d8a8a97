"""Every bound of the channel's server in one place, each with its reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What pods, and whoever else gets through to the port, may take of the operator."""

    connections: int = 20_000
    """At about 20 KB each; far more pods than one operator is made for."""
    unproved: int = 256
    """Connections whose token is not verified yet: each costs a handshake, and nobody knows whose
    it is."""
    prove_s: float = 5.0
    """For handshake and token together; inside a cluster that takes milliseconds."""
    silence_s: float = 10.0
    """A pod that said nothing for so long is not heard any more, so its connection is of no use."""
    opened_per_s: float = 50.0
    opened_burst: int = 300
    """Connections from one address: those of a node's pods may all come from its own, and all come
    back at once when the operator was restarted."""
    lines_per_s: float = 4.0
    lines_burst: int = 8
    """A pod reports once a second, and at once when a provider changes."""
    line_bytes: int = 16_384
    """A report on 20 providers and 50 routes with the longest names has 12 KB."""
    read_bytes: int = 16_384
    """Taken from one connection at a time, before the others have their turn."""
    write_bytes: int = 65_536
    """Unread by the pod: it is told three things in its life, so it is broken or hostile."""
    addresses: int = 4_096
    """Remembered addresses; beyond it the one that was quiet the longest is forgotten."""
