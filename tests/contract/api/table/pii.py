"""Personal data: what can be looked for, and what cannot."""

from typing import Any

from tests.contract.api.case import Case, bad, good

KEY = {"name": "pii", "key": "key"}
KINDS = "spec.guard.pii.kinds"
PATTERNS = "spec.guard.pii.patterns"


def _pii(**fields: Any) -> dict[str, Any]:
    return {"spec.guard": {"pii": {"keySecretRef": KEY, **fields}}}


def _searches(pattern: str, *wrong: str, says: str = "") -> Case:
    """Return a system that searches for a pattern."""
    one = {"name": "mine", "pattern": pattern, "policy": "Mask"}
    changes = _pii(patterns=[one])
    return Case(f"pattern {pattern[:40]} of {len(pattern)}", changes, wrong, says)


def _named(name: str) -> dict[str, Any]:
    return {"name": name, "pattern": "X[0-9]{4}", "policy": "Hash"}


EMAIL = {"kind": "Email", "policy": "Mask", "restore": True}
AT = f"{PATTERNS}[0].pattern"

CASES = (
    good("no guard of anything", {"spec.guard": {}}),
    good("one kind", _pii(kinds=[EMAIL])),
    good(
        "all kinds",
        _pii(
            kinds=[
                {"kind": kind, "policy": policy}
                for kind, policy in (
                    ("Email", "Mask"),
                    ("Phone", "Hash"),
                    ("IDCard", "Block"),
                    ("BankCard", "Block"),
                    ("IPAddress", "Mask"),
                    ("Passport", "Mask"),
                )
            ]
        ),
    ),
    bad("nothing to look for", _pii(), "spec.guard.pii", says="needs kinds or patterns; add one"),
    bad(
        "no key",
        {"spec.guard": {"pii": {"kinds": [EMAIL]}}},
        "spec.guard.pii.keySecretRef",
    ),
    bad("a kind twice", _pii(kinds=[EMAIL, EMAIL]), f"{KINDS}[1]"),
    bad("an unknown kind", _pii(kinds=[{**EMAIL, "kind": "Name"}]), f"{KINDS}[0].kind"),
    bad("an unknown policy", _pii(kinds=[{**EMAIL, "policy": "Drop"}]), f"{KINDS}[0].policy"),
    bad(
        "blocked and restored",
        _pii(kinds=[{**EMAIL, "policy": "Block"}]),
        f"{KINDS}[0].restore",
        says="is not allowed with policy Block; remove it",
    ),
    good("10 patterns", _pii(patterns=[_named(f"p{n}") for n in range(10)])),
    bad("11 patterns", _pii(patterns=[_named(f"p{n}") for n in range(11)]), PATTERNS),
    bad(
        "a pattern named like a kind",
        _pii(patterns=[_named("bank-card")]),
        f"{PATTERNS}[0].name",
        says="must not be the name of a kind",
    ),
    bad("a pattern's name twice", _pii(patterns=[_named("a"), _named("a")]), f"{PATTERNS}[1]"),
    _searches(r"EMP-\d{4,6}"),
    _searches("[A-Z]{2}[0-9a-f]{8}-?x"),
    _searches("工号[: ]{0,2}[0-9]{4}"),
    _searches(r"\(\d{3}\)\.\-?"),
    _searches(r"a{1,99}b{0,2}"),
    _searches("x" * 100),
    _searches("x" * 101, AT),
    _searches("", AT),
    _searches("(a+)+b", AT, says=r"for example EMP-\d{4,6}"),
    _searches("a+", AT),
    _searches("a.b", AT),
    _searches("a|b", AT),
    _searches("a?b", AT),
    _searches("[^a]b", AT),
    _searches("[z-a]b", AT),
    _searches(r"\w{3}", AT),
    _searches("ab{0}", AT),
    _searches("ab{100}", AT),
    _searches("ab{3,2}", AT, says="has {n,m} with m below n; write the smaller number first"),
)
