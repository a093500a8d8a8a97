"""`spec.guard.pii`: personal data that neither a model nor a store may see.

A pattern of a user's is a sequence of characters and sets with bounds, without groups or endless
repetition: so the schema can judge it, and the runtime match it in linear time.
"""

import re
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from agentsystem_operator.api import types
from agentsystem_operator.api.base import ApiModel, MapList, Rule, cel_string
from agentsystem_operator.api.kubernetes import KeyReference

# A pattern to search for, judged by a pattern: characters and sets, each with bounds, the first of
# which must be there. Neither groups nor endless repetition.
_ESCAPED = r"[\\][-\\\[\](){}.*+?|^$/]"
_SET = rf"\[(a-z|A-Z|0-9|a-f|A-F|一-鿿|[^-\\\[\]{{}}^]|{_ESCAPED})+\]"
_ITEM = rf"([^-\\\[\](){{}}.*+?|^$]|-|[\\]d|{_ESCAPED}|{_SET})"
_TIMES = r"(\?|\{([1-9][0-9]?|[0-9]{1,2},[1-9][0-9]?)\})?"
_TIMES_AT_FIRST = r"(\{[1-9][0-9]?(,[1-9][0-9]?)?\})?"
SEARCH = f"^{_ITEM}{_TIMES_AT_FIRST}({_ITEM}{_TIMES})*$"
_KIND_NAMES = ("email", "phone", "id-card", "bank-card", "ip-address", "passport")


class PiiKind(StrEnum):
    """A kind of personal data that the runtime knows by itself."""

    EMAIL = "Email"
    PHONE = "Phone"
    ID_CARD = "IDCard"
    BANK_CARD = "BankCard"
    IP_ADDRESS = "IPAddress"
    PASSPORT = "Passport"


class PiiPolicy(StrEnum):
    """What becomes of what is found."""

    MASK = "Mask"
    HASH = "Hash"
    BLOCK = "Block"


def bounds_in(pattern: str) -> list[tuple[str, str]]:
    """Return the bounds of each {n,m} in a pattern."""
    return re.findall(r"\{([0-9]+),([0-9]+)\}", pattern)


_RESTORE = Rule(
    field="restore",
    message="is not allowed with policy Block; remove it or set policy: Mask",
    cel="!(self.restore && self.policy == 'Block')",
    broken=lambda t: "" if t.restore and t.policy is PiiPolicy.BLOCK else None,
)
_NAME = Rule(
    field="name",
    message=f"must not be the name of a kind ({', '.join(_KIND_NAMES)}); choose another",
    cel=f"!(self.name in [{', '.join(map(cel_string, _KIND_NAMES))}])",
    broken=lambda p: "" if p.name in _KIND_NAMES else None,
)
# A rule, since a schema's `pattern` would answer with all of that expression.
_FORM = Rule(
    field="pattern",
    message=(
        r"must be characters, \d or sets such as [A-Z0-9], each alone or with ?, {n} or {n,m}, and"
        r" begin with one that must be there; for example EMP-\d{4,6}"
    ),
    cel=f"self.pattern.matches({cel_string(SEARCH)})",
    broken=lambda p: None if re.fullmatch(SEARCH, p.pattern) else "",
)
# CEL runs even when the pattern is not met, so it counts on no more than it has found itself.
_ORDER = Rule(
    field="pattern",
    message="has {n,m} with m below n; write the smaller number first",
    cel=(
        "self.pattern.findAll('[{][0-9]{1,2},[0-9]{1,2}[}]').all(t,"
        " int(t.substring(1, t.indexOf(','))) <="
        " int(t.substring(t.indexOf(',') + 1, t.size() - 1)))"
    ),
    broken=lambda p: next(("" for n, m in bounds_in(p.pattern) if int(n) > int(m)), None),
)


class KnownKind(ApiModel):
    """One kind and its policy."""

    kind: PiiKind
    """Email; Phone: E.164, and mainland China's as they are written there; IDCard: mainland
    China's; BankCard; IPAddress: 4 and 6; Passport: mainland China's, and others that are called
    so."""
    policy: PiiPolicy
    """Mask puts a numbered placeholder such as <EMAIL_1> in its place, the same within a
    conversation; Hash a keyed hash, the same within the system; Block refuses the request or
    answer."""
    restore: types.Bool = False
    """True gives callers the original back where an answer holds its placeholder."""

    RULES: ClassVar = (_RESTORE,)


class UserPattern(ApiModel):
    """A pattern of yours and its policy."""

    name: Annotated[str, Field(max_length=20, pattern=types.NAME_PATTERN)]
    """Name of the pattern; in capitals, that of its placeholders."""
    pattern: Annotated[str, Field(min_length=1, max_length=100)]
    r"""Characters, \d or sets such as [A-Z0-9], each alone or with ?, {n} or {n,m}; for example
    EMP-\d{4,6}. It matches whole words only."""
    policy: PiiPolicy
    """Mask, Hash or Block, as for a kind."""
    restore: types.Bool = False
    """True gives callers the original back where an answer holds its placeholder."""

    RULES: ClassVar = (_RESTORE, _NAME, _FORM, _ORDER)


class Pii(ApiModel):
    """Personal data is replaced before the provider, the session store, and any log."""

    key_secret_ref: KeyReference
    """Secret key that holds at least 16 characters; hashes, and placeholders that are the same in
    all turns of a session, need it. Without it the agents refuse requests."""
    kinds: Annotated[tuple[KnownKind, ...], Field(max_length=6), MapList("kind")] = ()
    """Kinds that the runtime finds."""
    patterns: Annotated[tuple[UserPattern, ...], Field(max_length=10), MapList("name")] = ()
    """Patterns of your own; they win over kinds."""

    RULES: ClassVar = (
        Rule(
            field="",
            message="needs kinds or patterns; add one, or remove pii",
            cel=(
                "(has(self.kinds) && self.kinds.size() > 0) ||"
                " (has(self.patterns) && self.patterns.size() > 0)"
            ),
            broken=lambda pii: None if pii.kinds or pii.patterns else "",
        ),
    )
