"""The volume of an agent that keeps its sessions in SQLite.

It has no owner reference: what was said outlives the system, and a system of the same name finds
it again. Once it exists it is never applied again, resized or deleted.
"""

from typing import Any

from agentsystem_operator.api.spec import SQLite
from agentsystem_operator.decide.workloads import Workload
from agentsystem_operator.model import names
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.references import Kind
from agentsystem_operator.plan import metadata


def build_persistent_volume_claim(workload: Workload) -> Manifest | None:
    """Return the agent's claim, or None when its sessions are not kept on disk."""
    if not workload.keeps_sessions_on_disk:
        return None
    agent = workload.agent.name
    ref = names.agent_child(workload.owner.key, agent, Kind.PERSISTENT_VOLUME_CLAIM)
    disk = workload.sessions.sqlite or SQLite()
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": disk.size}},
    }
    if disk.storage_class_name is not None:
        spec["storageClassName"] = disk.storage_class_name
    return metadata.manifest(ref, workload.owner, {"spec": spec}, agent=agent, outlives_owner=True)
