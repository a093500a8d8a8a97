"""Judges a candidate: check digits, dates, lengths of countries and issuers, what stands beside it.

A check is told the text from the candidate on, with full-width characters made ordinary ones, and
the text before it. It returns which part is a hit, as offsets in characters, or None.
"""

import re
import socket
from collections.abc import Callable

from agent_runtime.guard.pii import surroundings
from agent_runtime.guard.pii.kinds import Kind

Span = tuple[int, int]
Check = Callable[[str, str], Span | None]

_S = "[ .\u00a0\u2010-\u2015-]?"

_LOCAL_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+'-]{0,63}\Z")
_DOMAIN = re.compile(r"@(?:[A-Za-z0-9-]{1,63}\.){1,5}([A-Za-z]{2,24})")
_FILE_TYPES = frozenset(
    {
        "png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "ts", "jsx", "tsx", "json",
        "html", "htm", "xml", "py", "go", "rs", "java", "pdf", "txt", "md",
    }
)  # fmt: skip
_MACHINES = frozenset({"git", "svn", "hg"})  # `git@github.com:team/repo` is an address of code


def email(text: str, before: str) -> Span | None:
    """An address as most are; `text` begins with its `@`. `logo@2x.png` is a file."""
    domain, local = _DOMAIN.match(text), _LOCAL_PART.search(before)
    if domain is None or local is None:
        return None
    if domain[1].lower() in _FILE_TYPES or local[0].lower() in _MACHINES:
        return None
    return -len(local[0]), domain.end()


_MOBILE = re.compile(
    rf"(?:(?:\+|00)?86{_S})?"
    rf"(?:1[3-9]\d{_S}\d{{4}}{_S}\d{{4}}|1[3-9]\d\d[ -]\d{{3}}[ -]\d{{4}}|1 [3-9](?: \d){{9}})"
)
_AREA = r"(?:10|2\d|[3-9]\d\d)"
_LANDLINE = re.compile(
    rf"(?:\(0{_AREA}\)[ -]?|0{_AREA}[ -]|(?:\+|00)86{_S}\(?0?{_AREA}\)?{_S})"
    rf"[2-8]\d{{2,3}}{_S}\d{{4}}"
)
_E164 = re.compile("\\+[1-9](?:[ .()\u00a0\u2010-\u2015-]{0,2}\\d){6,14}")
_COUNTRY_DIGITS = {
    "1": (11, 11), "7": (11, 11), "33": (11, 11), "34": (11, 11), "39": (9, 13), "44": (11, 13),
    "49": (9, 15), "61": (11, 11), "65": (10, 10), "81": (11, 13), "82": (10, 13), "84": (11, 12),
    "91": (12, 12), "852": (11, 11), "853": (11, 11), "886": (11, 12), "86": (11, 13),
}  # fmt: skip
"""How many digits a number has with its country's code; elsewhere 8 to 15."""


def phone(text: str, before: str) -> Span | None:
    """A mobile or landline of mainland China as it is written there, or any country's with `+`."""
    for form in (_MOBILE, _LANDLINE):
        found = form.match(text)
        if found and surroundings.closes(text[found.end() : found.end() + 2]):
            return found.span() if surroundings.opens(before) else None
    return _international(text) if text[0] == "+" and surroundings.opens(before) else None


def _international(text: str) -> Span | None:
    found = _E164.match(text)
    if found is None:
        return None
    digits = [place for place in range(found.end()) if text[place].isdigit()]
    least, most = _lengths("".join(text[place] for place in digits[:3]))
    for count in range(min(most, len(digits)), least - 1, -1):
        end = digits[count - 1] + 1
        if surroundings.closes(text[end : end + 2]):
            return 0, end
    return None


def _lengths(beginning: str) -> tuple[int, int]:
    for length in (1, 2, 3):
        if known := _COUNTRY_DIGITS.get(beginning[:length]):
            return known
    return 8, 15


_ID_CARD = re.compile(rf"[1-9]\d{{5}}{_S}((?:18|19|20)\d\d){_S}(\d\d)(\d\d){_S}\d{{3}}[0-9Xx]")
_PROVINCES = frozenset(
    {
        "11", "12", "13", "14", "15", "21", "22", "23", "31", "32", "33", "34", "35", "36", "37",
        "41", "42", "43", "44", "45", "46", "50", "51", "52", "53", "54", "61", "62", "63", "64",
        "65", "71", "81", "82", "83",
    }
)  # fmt: skip
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def id_card(text: str, before: str) -> Span | None:
    """GB 11643: place, birthday, sequence and a check digit (ISO 7064 MOD 11-2)."""
    found = _ID_CARD.match(text)
    if found is None or not surroundings.opens(before):
        return None
    if not (1 <= int(found[2]) <= 12 and 1 <= int(found[3]) <= 31):
        return None
    digits = [c for c in found[0] if c.isalnum()]
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=False))
    right = "10X98765432"[total % 11] == digits[17].upper() and "".join(digits[:2]) in _PROVINCES
    return (
        found.span() if right and surroundings.closes(text[found.end() : found.end() + 2]) else None
    )


_CARDS = (
    re.compile(r"\d{14,19}(?!\d)"),
    re.compile(r"\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{1,3})?(?!\d)"),
    re.compile(r"\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?!\d)"),
    re.compile(r"\d{4}([ -])\d{6}\1\d{4,5}(?!\d)"),
    re.compile(r"\d{6}[ -]\d{10,13}(?!\d)"),
)
_ISSUERS = re.compile(
    r"62\d{14,17}|4\d{15}|(?:4367|9558)\d{15}"
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"
    r"|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:6011|64[4-9]\d|65\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}"
    r"|60\d{14}(?:\d{3})?|81\d{14,17}"
)


def bank_card(text: str, before: str) -> Span | None:
    """A number of a known issuer's length whose check digit is right (ISO 7812, Luhn)."""
    for form in _CARDS:
        found = form.match(text)
        if found and surroundings.closes(text[found.end() : found.end() + 2]):
            digits = found[0].replace(" ", "").replace("-", "")
            if _ISSUERS.fullmatch(digits) and _luhn(digits) and surroundings.opens(before):
                return found.span()
    return None


def _luhn(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


_IPV4 = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})")
_IPV6 = re.compile(r"[0-9A-Fa-f:]{2,45}(?:[.]\d{1,3}){0,3}")


def ip_address(text: str, before: str) -> Span | None:
    """An address of a machine; loopback, masks and numbers of versions are none."""
    if "." in text[:4]:  # after the first number
        return _ipv4(text, before)
    return _ipv6(text, before) if ":" in text[:5] else None


def _ipv4(text: str, before: str) -> Span | None:
    found = _IPV4.match(text)
    if found is None or not surroundings.opens(before) or surroundings.speaks_of_a_version(before):
        return None
    after = text[found.end() : found.end() + 2]
    if not surroundings.closes(after) or (after[:1] == "-" and after[1:].isalpha()):
        return None
    parts = found.groups()
    if any(int(part) > 255 or (len(part) > 1 and part[0] == "0") for part in parts):
        return None
    nobody = parts[0] in ("0", "127") or parts[:2] == ("255", "255")
    return None if nobody else found.span()


def _ipv6(text: str, before: str) -> Span | None:
    found = _IPV6.match(text)
    if found is None or not _opens_groups(before):
        return None
    address = found[0].rstrip(".")
    if address.endswith(":") and not address.endswith("::"):
        address = address[:-1]
    after = text[len(address) : len(address) + 2]
    if not surroundings.closes(after) or not _is_ipv6(address):
        return None
    return 0, len(address)


def _opens_groups(before: str) -> bool:
    if before[-1:] == ":":  # `IP:2001:db8::1`
        return before[-2:-1] not in tuple("0123456789abcdefABCDEF:")
    return not (before and surroundings.is_letter_or_digit(before[-1]))


def _is_ipv6(address: str) -> bool:
    """Times, hardware addresses and names of code look alike: `12:30:45`, `a::b`."""
    groups = [group for group in address.split(":") if group]
    telling = len(groups) >= 3 or (bool(groups) and (len(groups[0]) == 4 or "." in address))
    if not telling or not any(c.isdigit() for c in address) or {len(g) for g in groups} == {2}:
        return False
    try:
        return any(socket.inet_pton(socket.AF_INET6, address)[:15])
    except OSError:
        return False


_CHINESE_PASSPORT = re.compile(r"[EG]\d{8}|E[A-HJ-NP-Z]\d{7}|[DSP]E\d{7}")
_ANY_PASSPORT = re.compile(r"[A-Za-z]{1,2}\d{6,8}|\d{8,9}")


def passport(text: str, before: str) -> Span | None:
    """Mainland China's by its form; another country's only where the text says what it is."""
    if before and surroundings.is_letter_or_digit(before[-1]):
        return None
    found = _ANY_PASSPORT.match(text)
    if found is None or not surroundings.closes(text[found.end() : found.end() + 2]):
        return None
    if surroundings.speaks_of_a_passport(before):
        return found.span()
    chinese = _CHINESE_PASSPORT.fullmatch(found[0]) and before[-1:] not in tuple("-/#=")
    return found.span() if chinese and not surroundings.speaks_of_an_order(before) else None


OF_NUMBERS: tuple[tuple[Kind, Check], ...] = (
    (Kind.ID_CARD, id_card),
    (Kind.BANK_CARD, bank_card),
    (Kind.PHONE, phone),
    (Kind.IP_ADDRESS, ip_address),
    (Kind.PASSPORT, passport),
)
"""In this order: what has a check digit is less of a guess than what has not."""
