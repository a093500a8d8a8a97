"""What is planned must fit into the objects of Kubernetes."""

from agentsystem_operator.api.reasons import Reason
from agentsystem_operator.decide.references import Fault
from agentsystem_operator.plan import agent_config, controller_revision
from agentsystem_operator.plan.wanted import Wanted

_CONFIG = Fault(
    Reason.TOO_LARGE,
    "spec.agents",
    "the rendered configurations are over 1 MiB in all; shorten instructions or scripted answers",
)
_RECORD = Fault(
    Reason.TOO_LARGE,
    "spec",
    "the record of the revision, which holds what each agent was given, is over 1.25 MiB; shorten"
    " runtime.env (it counts once per agent), agents[].env or instructions",
)


def faults(plan: Wanted) -> tuple[Fault, ...]:
    """Return what is too large and how to make it smaller; empty if all fits."""
    if plan.config_bytes > agent_config.MAX_BYTES:
        return (_CONFIG,)
    return (_RECORD,) if plan.record_bytes > controller_revision.MAX_BYTES else ()
