"""Which shard owns a system. One shard today; more are a matter of this function and of flags."""

from agentsystem_operator.model.references import SystemKey

SHARD = 0


def owner(key: SystemKey) -> int:
    """Return the number of the shard that reconciles a system."""
    del key  # every system belongs to the only shard
    return SHARD


def lease_name(shard: int) -> str:
    """Return the name of the Lease that a shard's leader holds."""
    return f"agentsystem-shard-{shard}"
