"""The ControllerRevision of a system's revision: all declared input, and the pinned defaults.

Its data cannot be changed once it exists, so its name is the hash of its data.
"""

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

from agentsystem_operator.decide.workloads import Owner, Workload
from agentsystem_operator.model import hashing, names, records
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.plan import metadata

MAX_BYTES = 1_310_720
"""1.25 MiB of data: etcd takes 1.5 MiB per object, metadata included."""


def data_of(workloads: Iterable[tuple[Workload, str]]) -> Mapping[str, Any]:
    """Return what is recorded of a system, given each agent's workload and revision.

    Sorted by agent, so that another order in the spec is no other revision.
    """
    entries = [
        records.entry(workload.agent.name, workload.pin(revision), workload.declared)
        for workload, revision in workloads
    ]
    return {"agents": sorted(entries, key=itemgetter("name"))}


def build_controller_revision(owner: Owner, data: Mapping[str, Any], *, number: int) -> Manifest:
    """Return the record of the system's `number`th revision."""
    revision = hashing.revision(data)
    ref = names.controller_revision(owner.key, revision)
    labels = {names.REVISION: revision}
    content = {"revision": number, "data": data}
    return metadata.manifest(ref, owner, content, agent=None, labels=labels)
