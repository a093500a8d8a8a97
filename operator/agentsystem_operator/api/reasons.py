"""The closed sets of words that conditions, Events, log lines and metric labels share.

Each member carries what it means; docs/api.md lists them. A reader of `kubectl describe` finds the
same word here. Adding a member is an API change: say so in the changelog.
"""

from enum import StrEnum
from typing import Self


class _Documented(StrEnum):
    """A word with its meaning."""

    description: str

    def __new__(cls, value: str, description: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member


class ConditionType(_Documented):
    """The conditions of an AgentSystem."""

    AVAILABLE = (
        "Available",
        "Every agent has at least max(1, desired - 1) available pods.",
    )
    READY = (
        "Ready",
        "Available and ConfigValid, for the current generation, on the desired revision.",
    )
    PROGRESSING = (
        "Progressing",
        "The active revision is not the desired one yet, or a rollout is not finished.",
    )
    CONFIG_VALID = (
        "ConfigValid",
        "Everything outside the object that the spec relies on is as it must be.",
    )
    DEGRADED = (
        "Degraded",
        "True is bad: fewer pods available than desired for 60 s outside a rollout, or a rollout "
        "past its deadline.",
    )
    PAUSED = ("Paused", "spec.paused is true: no object of the system is changed.")
    STALLED = (
        "Stalled",
        "True is bad: the newest spec is not carried out, and will not be until somebody acts. "
        "kstatus calls that Failed.",
    )
    PROVIDERS_HEALTHY = (
        "ProvidersHealthy",
        "No pod that was heard in the last 10 s has trouble with a provider. It never changes "
        "Ready; absent when the operator runs without a channel.",
    )
    BUDGET_AVAILABLE = (
        "BudgetAvailable",
        "Something is left of spec.budget. It never changes Ready; absent without a budget, and "
        "when the operator runs without a channel.",
    )


class ConditionStatus(_Documented):
    """The three values of a condition."""

    TRUE = ("True", "The condition holds.")
    FALSE = ("False", "The condition does not hold.")
    UNKNOWN = ("Unknown", "It could not be told.")


class BudgetState(_Documented):
    """How far spec.budget is used, as the pods that share its ledger say."""

    AVAILABLE = ("Available", "Less than warnAt.")
    WARNING = ("Warning", "At least warnAt; nothing else changes.")
    DEGRADED = ("Degraded", "At least degradeAt: answers cost less.")
    EXHAUSTED = ("Exhausted", "All of it: what costs money is refused until the next period.")
    UNKNOWN = ("Unknown", "No pod was heard, or those that were cannot reach the ledger.")


class ProviderState(_Documented):
    """How the pods that use a provider find it."""

    HEALTHY = ("Healthy", "No pod that was heard says otherwise.")
    IMPAIRED = (
        "Impaired",
        "Some pods, or some of its models, get no answers; the others do.",
    )
    DOWN = ("Down", "Most pods that were heard get no answer from any of its models.")
    UNKNOWN = ("Unknown", "No pod that uses it was heard in the last 10 s.")


class Pinned(_Documented):
    """What an agent is held to until it is changed anyway, so that an upgrade rolls no pod."""

    IMAGE = ("Image", "The default image, where the spec states none.")
    TEMPLATE = ("Template", "The version of what a pod and its configuration are rendered as.")
    REPLICAS = ("Replicas", "The tier's number of replicas, where the agent states none.")
    SESSION_STORE = ("SessionStore", "The tier's session store, where the spec states none.")
    PRE_STOP = ("PreStop", "The tier's time for which a pod that has to stop serves on.")
    SPREAD = ("Spread", "Whether the tier requires, or prefers, a host of its own for each pod.")


class Reason(_Documented):
    """Why a condition is what it is, or why an agent is as it is."""

    ALL_AGENTS_AVAILABLE = ("AllAgentsAvailable", "Every agent has the pods it needs to answer.")
    ALL_AGENTS_READY = ("AllAgentsReady", "Everything declared runs, and it is the current spec.")
    AGENTS_UNAVAILABLE = (
        "AgentsUnavailable",
        "At least one agent has too few available pods; the message names it.",
    )
    SCALED_TO_ZERO = ("ScaledToZero", "An agent wants 0 replicas, so nothing can answer for it.")
    OBSERVATION_UNKNOWN = (
        "ObservationUnknown",
        "The cluster's state could not be read; nothing is concluded from that.",
    )

    ROLLING_OUT = ("RollingOut", "Pods of the desired revision are being started.")
    ROLLED_OUT = ("RolledOut", "Every agent runs the desired revision.")
    DEADLINE_EXCEEDED = (
        "DeadlineExceeded",
        "A rollout did not finish within 600 s; the old pods go on serving.",
    )

    VALID = ("Valid", "Every reference was found and every object of the system was accepted.")
    SPEC_INVALID = (
        "SpecInvalid",
        "The stored spec breaks a rule that this operator knows; the message names the fields.",
    )
    CONFIG_MAP_MISSING = ("ConfigMapMissing", "A ConfigMap that the spec names does not exist.")
    CONFIG_MAP_KEY_MISSING = (
        "ConfigMapKeyMissing",
        "A ConfigMap that the spec names lacks the key.",
    )
    IMAGE_NOT_ALLOWED = (
        "ImageNotAllowed",
        "The spec names an image that the operator's --allowed-images do not cover; what runs goes "
        "on running, and changes wait.",
    )
    NAME_TAKEN = (
        "NameTaken",
        "An object that the system needs exists and belongs to someone else; it is left alone.",
    )
    TOO_LARGE = (
        "TooLarge",
        "The rendered configurations of all agents are over 1 MiB together, or the record of the "
        "revision is over 1.25 MiB.",
    )
    APPLY_REFUSED = ("ApplyRefused", "The apiserver refused an object of the system.")

    BELOW_DESIRED = (
        "BelowDesired",
        "Fewer pods than desired have been available for 60 s, outside a rollout.",
    )
    WAITING_FOR_VOLUME = (
        "WaitingForVolume",
        "An agent has had no available pod for 60 s, and its sessions are on a volume that was "
        "made for one node: unless the storage can move, its pod waits for that node. The message "
        "names agent, volume and node.",
    )
    AS_DESIRED = ("AsDesired", "As many pods as desired are available, or soon will be.")

    PAUSED_BY_SPEC = ("PausedBySpec", "spec.paused is true.")
    NOT_PAUSED = ("NotPaused", "spec.paused is false.")

    NOT_STALLED = ("NotStalled", "The system is as declared, or on its way by itself.")

    AGENT_READY = ("AgentReady", "The agent has all its pods, on the desired revision.")

    PROVIDERS_ANSWER = ("ProvidersAnswer", "Every provider that agents use is Healthy.")
    PROVIDER_DOWN = (
        "ProviderDown",
        "At least one provider is Down; the message says which, why, and since when.",
    )
    PROVIDER_IMPAIRED = (
        "ProviderImpaired",
        "No provider is Down, but at least one answers only some pods or with some models.",
    )
    NO_POD_HEARD = (
        "NoPodHeard",
        "Of at least one provider, or of the budget, no pod was heard: there is none, it was "
        "started before the channel existed, or its connection to the operator fails.",
    )

    BUDGET_LEFT = ("BudgetLeft", "Less of the budget is used than warnAt.")
    BUDGET_LOW = ("BudgetLow", "At least warnAt percent of the budget is used.")
    BUDGET_DEGRADED = (
        "BudgetDegraded",
        "At least degradeAt percent of the budget is used: answers cost less.",
    )
    BUDGET_EXHAUSTED = (
        "BudgetExhausted",
        "The budget is used up: what costs money is refused until the next period. The message "
        "says since when and until when.",
    )
    LEDGER_UNREACHABLE = (
        "LedgerUnreachable",
        "Pods were heard, but they cannot reach the ledger of the budget (spec.stores.redis).",
    )
