"""Made-up data about made-up people, in Chinese and English texts, and texts without any.

Written from the standards (GB 11643, ISO 7812, E.164, RFC 4291), not from the detector: it shares
no expression with it. The same seed makes the same corpus.
"""

import random
import string
from collections.abc import Callable
from dataclasses import dataclass

from tests.pii.texts import CHINESE, CLEAN_TEXTS, ENGLISH

SEED = 20_261_128
CASES = 500
CLEAN = 200


@dataclass(frozen=True, slots=True)
class Case:
    """A text, and the values in it that nobody else may see, by kind."""

    id: str
    text: str
    values: tuple[tuple[str, str], ...]


def cases(seed: int = SEED, count: int = CASES) -> list[Case]:
    """Return texts that hold one to three values each."""
    dice = random.Random(seed)
    found = []
    for number in range(count):
        template = dice.choice(ENGLISH if number % 2 else CHINESE)
        text, values = _filled(dice, template, VALUES)
        found.append(Case(f"{number:03}-{values[0][0]}", text, tuple(values)))
    return found


def clean(seed: int = SEED, count: int = CLEAN) -> list[str]:
    """Return texts with numbers, names of machines and code, and nothing about anybody."""
    dice = random.Random(seed)
    templates = [CLEAN_TEXTS[number % len(CLEAN_TEXTS)] for number in range(count)]
    return [_filled(dice, template, HARMLESS)[0] for template in templates]


def _filled(
    dice: random.Random, template: str, makers: dict[str, Callable[[random.Random], str]]
) -> tuple[str, list[tuple[str, str]]]:
    """Return a template with a value in each `{kind}`, and these values; `<<` is a brace."""
    text, *parts = template.split("{")
    values = []
    for part in parts:
        kind, _, rest = part.partition("}")
        value = makers[kind](dice)
        values.append((kind, value))
        text += value + rest
    return text.replace("<<", "{").replace(">>", "}"), values


def _digits(dice: random.Random, count: int) -> str:
    return "".join(dice.choices(string.digits, k=count))


def _word(dice: random.Random, least: int = 3, most: int = 9) -> str:
    return "".join(dice.choices(string.ascii_lowercase, k=dice.randint(least, most)))


def email(dice: random.Random) -> str:
    """Names with dots, dashes, plus signs and digits, at two to four labels."""
    joint = dice.choice([".", "_", "-", "+", ""])
    name = _word(dice) + joint + dice.choice([_word(dice), _digits(dice, 3), _word(dice).upper()])
    middle = dice.choice(["", _word(dice) + ".", "mail-1."])
    return (
        f"{name}@{middle}{_word(dice)}.{dice.choice(['com', 'cn', 'com.cn', 'org', 'io', 'co.uk'])}"
    )


def mobile(dice: random.Random) -> str:
    """Mainland China's mobiles as people write them."""
    number = "1" + dice.choice("3456789") + _digits(dice, 9)
    form = dice.randrange(8)
    if form == 0:
        return f"{number[:3]}-{number[3:7]}-{number[7:]}"
    if form == 1:
        return f"{number[:3]} {number[3:7]} {number[7:]}"
    if form == 2:
        return f"+86 {number}"
    if form == 3:
        return f"+86-{number[:3]}-{number[3:7]}-{number[7:]}"
    if form == 4:
        return f"0086{number}"
    if form == 5:
        return number.translate(str.maketrans(string.digits, "０１２３４５６７８９"))
    return number


def landline(dice: random.Random) -> str:
    """An area, and seven or eight digits."""
    area = dice.choice(["010", "021", "020", "0755", "0571", "0312"])
    number = dice.choice("2345678") + _digits(dice, 7 if len(area) == 3 else dice.choice([6, 7]))
    return dice.choice([f"{area}-{number}", f"({area}) {number}", f"{area} {number}"])


def abroad(dice: random.Random) -> str:
    """E.164, as several countries group it."""
    form = dice.randrange(5)
    if form == 0:
        return f"+1 ({dice.randint(201, 989)}) {dice.randint(200, 999)}-{_digits(dice, 4)}"
    if form == 1:
        return f"+1{dice.randint(201, 989)}{dice.randint(200, 999)}{_digits(dice, 4)}"
    if form == 2:
        return f"+44 20 {dice.randint(3000, 8999)} {_digits(dice, 4)}"
    if form == 3:
        return f"+49 {dice.randint(151, 179)} {_digits(dice, 8)}"
    return f"+852 {dice.choice('569')}{_digits(dice, 3)} {_digits(dice, 4)}"


_PLACES = ["110105", "310104", "440305", "330106", "510107", "420106", "610113", "230103"]


def id_card(dice: random.Random) -> str:
    """GB 11643-1999: the check character makes the weighted sum 1 modulo 11."""
    born = f"{dice.randint(1950, 2012)}{dice.randint(1, 12):02}{dice.randint(1, 28):02}"
    body = dice.choice(_PLACES) + born + _digits(dice, 3)
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(body))
    check = (1 - total) % 11
    whole = body + ("X" if check == 10 else str(check))
    form = dice.randrange(6)
    if form == 0:
        return f"{whole[:6]} {whole[6:14]} {whole[14:]}"
    return whole.lower() if form == 1 else whole


def bank_card(dice: random.Random) -> str:
    """ISO 7812: an issuer's beginning, and a last digit that makes Luhn's sum a multiple of 10."""
    beginning, length = dice.choice(
        [("622202", 19), ("621700", 19), ("625965", 16), ("4532", 16), ("5412", 16), ("3782", 15),
         ("2223", 16), ("6011", 16), ("3530", 16), ("3640", 14)]
    )  # fmt: skip
    body = beginning + _digits(dice, length - len(beginning) - 1)
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    whole = body + str(-total % 10)
    if length in (16, 19) and dice.random() < 0.4:
        joint = dice.choice(" -")
        return joint.join(whole[at : at + 4] for at in range(0, length, 4))
    return whole


def ipv4(dice: random.Random) -> str:
    """Anything but what belongs to no one machine."""
    first = dice.choice([10, 172, 192, 47, 8, 203, 114])
    return f"{first}." + ".".join(str(dice.randint(0, 255)) for _ in range(3))


def ipv6(dice: random.Random) -> str:
    """RFC 4291: whole, or with one run of zeros left out."""
    groups = [f"{dice.randint(1, 0xFFFF):x}" for _ in range(6)]
    return dice.choice(
        [
            "2001:db8:" + ":".join(groups),
            f"2001:db8::{groups[0]}:{groups[1]}",
            f"fe80::{groups[0]}:{groups[1]}:{groups[2]}:{groups[3]}",
            f"2408:8{dice.randint(100, 999)}:{groups[0]}::{dice.randint(1, 9)}",
        ]
    )


def passport(dice: random.Random) -> str:
    """The People's Republic's since 1997."""
    return dice.choice(
        [
            f"E{_digits(dice, 8)}",
            f"G{_digits(dice, 8)}",
            f"E{dice.choice('ABCDJKL')}{_digits(dice, 7)}",
        ]
    )


VALUES: dict[str, Callable[[random.Random], str]] = {
    "email": email, "mobile": mobile, "landline": landline, "abroad": abroad, "id": id_card,
    "card": bank_card, "ipv4": ipv4, "ipv6": ipv6, "passport": passport,
}  # fmt: skip


def _hex(dice: random.Random, count: int) -> str:
    return "".join(dice.choices("0123456789abcdef", k=count))


HARMLESS: dict[str, Callable[[random.Random], str]] = {
    "order": lambda d: d.choice(
        [
            f"2026{d.randint(1, 12):02}{d.randint(1, 28):02}{_digits(d, 10)}",
            f"SO-{_digits(d, 8)}",
            f"#{_digits(d, 7)}",
            f"JD{_digits(d, 12)}",
            f"A{_digits(d, 6)}-{_digits(d, 3)}",
        ]
    ),
    "price": lambda d: d.choice(
        [
            f"¥{d.randint(1, 99_999)}.{_digits(d, 2)}",
            f"${d.randint(1, 9_999):,}.99",
            f"{d.randint(100, 999)},{_digits(d, 3)},{_digits(d, 3)}元",
            f"{d.randint(1, 500)} EUR",
        ]
    ),
    "date": lambda d: d.choice(
        [
            f"2026-{d.randint(1, 12):02}-{d.randint(1, 28):02} {d.randint(10, 23)}:59:07",
            f"2026年{d.randint(1, 12)}月{d.randint(1, 28)}日",
            f"{d.randint(10, 28)}/{d.randint(10, 12)}/2026",
            f"2026{d.randint(10, 12)}{d.randint(10, 28)}",
            f"2026-11-{d.randint(10, 28)}T08:15:30.123456Z",
        ]
    ),
    "version": lambda d: d.choice(
        [
            f"v{d.randint(1, 9)}.{d.randint(0, 30)}.{d.randint(0, 99)}",
            f"{d.randint(1, 30)}.04.{d.randint(1, 9)}",
            f"version {d.randint(1, 9)}.{d.randint(0, 9)}.{d.randint(0, 9)}.{d.randint(0, 255)}",
        ]
    ),
    "hash": lambda d: d.choice(
        [
            _hex(d, 40),
            _hex(d, 64),
            _hex(d, 7),
            f"sha256:{_hex(d, 64)}",
            f"{_hex(d, 8)}-{_hex(d, 4)}-4{_hex(d, 3)}-a{_hex(d, 3)}-{_hex(d, 12)}",
        ]
    ),
    "time": lambda d: d.choice(
        [f"17{_digits(d, 8)}", f"17{_digits(d, 11)}", f"{d.randint(10, 23)}:{d.randint(10, 59)}"]
    ),
    "number": lambda d: d.choice(
        [
            _digits(d, 4),
            str(d.randint(1, 10**6)),
            f"{d.random():.12f}",
            f"{d.randint(1, 99)}%",
            f"{d.randint(100, 999)} {_digits(d, 3)} {_digits(d, 3)}",
        ]
    ),
    "mac": lambda d: ":".join(_hex(d, 2).upper() for _ in range(6)),
    "word": _word,
}
