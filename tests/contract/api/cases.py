"""The one table of good and bad resources; the models and the real apiserver judge the same."""

from tests.contract.api.table import bounds, guard, names, network, pods, references, rules, values

CASES = (
    *rules.CASES,
    *references.CASES,
    *names.CASES,
    *values.CASES,
    *pods.CASES,
    *network.CASES,
    *bounds.CASES,
    *guard.CASES,
)
