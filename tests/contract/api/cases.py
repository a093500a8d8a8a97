"""The one table of good and bad resources; the models and the real apiserver judge the same."""

from tests.contract.api.table import (
    bounds,
    budget,
    cache,
    endpoints,
    guard,
    monitoring,
    names,
    network,
    pii,
    pods,
    references,
    rules,
    stores,
    values,
)

CASES = (
    *rules.CASES,
    *references.CASES,
    *names.CASES,
    *values.CASES,
    *endpoints.CASES,
    *pods.CASES,
    *network.CASES,
    *stores.CASES,
    *bounds.CASES,
    *budget.CASES,
    *pii.CASES,
    *guard.CASES,
    *cache.CASES,
    *monitoring.CASES,
)
