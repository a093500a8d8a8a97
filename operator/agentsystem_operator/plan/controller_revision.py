"""The ControllerRevision of a system's revision: all declared input, and the pinned defaults.

Its data cannot be changed once it exists, so its name is the hash of its data.
"""

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

import orjson

from agentsystem_operator.decide.workloads import Owner, Workload
from agentsystem_operator.model import hashing, names, records
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.plan import metadata

MAX_BYTES = 1_310_720
"""1.25 MiB of data: etcd takes 1.5 MiB per object, metadata included."""


_GROWS = {b"<": 5, b">": 5, b"&": 5, "\u2028".encode(): 3, "\u2029".encode(): 3}
"""What Go writes as six characters wherever it stands in JSON, and by how many bytes that grows."""


def stored_bytes(data: Mapping[str, Any]) -> int:
    """Return the size of a record's data as the apiserver stores it.

    500 kB of "<" are 3 MB there, and more than etcd takes.
    """
    content = orjson.dumps(data)
    return len(content) + sum(content.count(text) * by for text, by in _GROWS.items())


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
