"""What models may cost: each bound and rule of `spec.budget` kept and broken."""

from typing import Any

from tests.contract.api.case import bad, good

BUDGET, REDIS = "spec.budget", {"spec.stores": {"redis": {"host": "redis.data.svc"}}}
DAILY: dict[str, Any] = {"amount": "25.00", "period": "Day"}
PRICE = {"provider": "canned", "model": "m", "input": "0.15", "output": "0.60"}


def _with(**fields: Any) -> dict[str, Any]:
    return {BUDGET: {**DAILY, **fields}, **REDIS}


CASES = (
    good("a budget", _with()),
    good(
        "a whole budget",
        _with(
            period="Month",
            warnAt=50,
            degradeAt=50,
            degradeRoute="chat",
            prices=[{**PRICE, "cacheWrite": "0.2", "cacheRead": "0"}, {**PRICE, "model": "n"}],
        ),
    ),
    *(good(f"a budget of {usd}", _with(amount=usd)) for usd in ("0.000001", "999999.999999")),
    *(
        bad(f"a budget of {usd}", _with(amount=usd), f"{BUDGET}.amount", says="more than 0")
        for usd in ("0", "000.00")
    ),
    *(
        bad(f"a budget of {usd!r}", _with(amount=usd), f"{BUDGET}.amount")
        for usd in ("1000000", "1.0000001", "-1", "1e3", "$5", "", 25)
    ),
    bad("a budget of a week", _with(period="Week"), f"{BUDGET}.period"),
    bad("a budget of no period", {BUDGET: {"amount": "1"}, **REDIS}, f"{BUDGET}.period"),
    *(
        bad(f"a warning at {percent}", _with(warnAt=percent), f"{BUDGET}.warnAt")
        for percent in (0, 101, "80")
    ),
    bad(
        "a warning after it has degraded",
        _with(warnAt=95),
        f"{BUDGET}.warnAt",
        says="must not be above degradeAt",
    ),
    bad(
        "degrading to an unknown route",
        _with(degradeRoute="cheap"),
        f"{BUDGET}.degradeRoute",
        says="unknown route: cheap; declare it in spec.routes",
    ),
    bad(
        "a price of an unknown provider",
        _with(prices=[{**PRICE, "provider": "nobody"}]),
        f"{BUDGET}.prices",
        says="unknown provider: nobody; declare it in spec.providers",
    ),
    bad("a price twice", _with(prices=[PRICE, PRICE]), f"{BUDGET}.prices[1]"),
    bad(
        "a price without its output",
        _with(prices=[{"provider": "canned", "model": "m", "input": "1"}]),
        f"{BUDGET}.prices[0].output",
    ),
    bad(
        "51 prices",
        _with(prices=[{**PRICE, "model": f"m{n}"} for n in range(51)]),
        f"{BUDGET}.prices",
    ),
    bad(
        "a budget for each pod", {BUDGET: DAILY}, BUDGET, says="needs a ledger that all pods share"
    ),
    good(
        "a budget of one pod",
        {BUDGET: DAILY, "spec.memory": {"sessions": {"store": "SQLite"}}},
    ),
)
