"""Spans as OTLP's protobuf messages (opentelemetry.proto.collector.trace.v1), written by hand.

Only what we send: strings, integers, floats, booleans and lists of strings as values. Attributes
that never change are written once and kept as bytes.
"""

import functools
import struct
from collections.abc import Mapping, Sequence

Value = str | bool | int | float | Sequence[str]

_ONE_BYTE = 0x80
_BYTES = tuple(bytes((number,)) for number in range(_ONE_BYTE))


def _varint(number: int) -> bytes:
    """Return an unsigned number in base 128, the lowest digits first."""
    if number < _ONE_BYTE:
        return _BYTES[number]
    digits = bytearray()
    while number >= _ONE_BYTE:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _tag(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


_HOLDS = tuple(_tag(field, 2) for field in range(17))


def _held(field: int, content: bytes) -> bytes:
    """Return a field that holds bytes, a text or a message."""
    return _HOLDS[field] + _varint(len(content)) + content


@functools.cache
def _key(key: str) -> bytes:
    """Return the key of a KeyValue; there are few, and all of them ours."""
    return _held(1, key.encode())


def _value(value: Value) -> bytes:
    """Return an AnyValue."""
    if isinstance(value, str):
        return _held(1, value.encode())
    if isinstance(value, bool):
        return b"\x10" + _BYTES[value]
    if isinstance(value, int):
        return b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    if isinstance(value, float):
        return _DOUBLE.pack(0x21, value)
    return _held(5, b"".join([_held(1, _value(each)) for each in value]))


_DOUBLE = struct.Struct("<Bd")


def attributes(field: int, values: Mapping[str, Value]) -> bytes:
    """Return one field for each attribute: a KeyValue."""
    return b"".join(
        [_held(field, _key(key) + _held(2, _value(value))) for key, value in values.items()]
    )


SPAN_ATTRIBUTES = 9
"""The number of the field of a span that `attributes` goes into."""
_SERVER_IS_REMOTE = 0x300  # it is known whether the parent is remote, and it is
_PARENT_IS_KNOWN = 0x100
_TRACE_ID, _SPAN_ID, _PARENT_ID = _tag(1, 2) + b"\x10", _tag(2, 2) + b"\x08", _tag(4, 2) + b"\x08"
_TIMES = struct.Struct("<BQBQ")
_START, _END = 7 << 3 | 1, 8 << 3 | 1
_KINDS = tuple(_tag(6, 0) + bytes((kind,)) for kind in range(6))
_FLAGS = tuple(
    _tag(16, 5) + struct.pack("<I", 1 | flags) for flags in (_PARENT_IS_KNOWN, _SERVER_IS_REMOTE)
)
_ERROR = _held(15, _tag(3, 0) + b"\x02")


def span(  # a span has so many parts, and a call for each would cost more
    *,
    trace_id: str,
    span_id: str,
    parent_id: str,
    parent_is_remote: bool,
    state: str,
    name: bytes,
    kind: int,
    start_ns: int,
    end_ns: int,
    fixed: bytes,
    values: Mapping[str, Value],
    events: bytes,
    failed: bool,
) -> bytes:
    """Return a span as a field of ScopeSpans; `name` and `fixed` are fields that are written."""
    return _held(
        2,
        b"".join(
            (
                _TRACE_ID, bytes.fromhex(trace_id),
                _SPAN_ID, bytes.fromhex(span_id),
                _held(3, state.encode()) if state else b"",
                _PARENT_ID + bytes.fromhex(parent_id) if parent_id else b"",
                name,
                _KINDS[kind],
                _TIMES.pack(_START, start_ns, _END, end_ns),
                fixed,
                attributes(SPAN_ATTRIBUTES, values),
                events,
                _ERROR if failed else b"",
                _FLAGS[parent_is_remote],
            )
        ),
    )  # fmt: skip


def name(text: str) -> bytes:
    """Return the field with a span's name."""
    return _held(5, text.encode())


def event(text: str, time_ns: int, values: Mapping[str, Value]) -> bytes:
    """Return the field with one event of a span."""
    time = _tag(1, 1) + struct.pack("<Q", time_ns)
    return _held(11, time + _held(2, text.encode()) + attributes(3, values))


def resource(values: Mapping[str, Value]) -> bytes:
    """Return the field of ResourceSpans that says whose spans they are."""
    return _held(1, attributes(1, values))


def scope(text: str) -> bytes:
    """Return the field of ScopeSpans that says what recorded them."""
    return _held(1, _held(1, text.encode()))


def request(resource_field: bytes, scope_field: bytes, spans: Sequence[bytes]) -> bytes:
    """Return an ExportTraceServiceRequest."""
    return _held(1, resource_field + _held(2, scope_field + b"".join(spans)))


def rejected(answer: bytes) -> int:
    """Return how many spans an ExportTraceServiceResponse says were not taken; 0 if in doubt."""
    try:
        partial = _fields(answer).get(1, b"")
        count = _fields(partial).get(1, 0) if isinstance(partial, bytes) else 0
    except (IndexError, ValueError):
        return 0
    return count if isinstance(count, int) else 0


def _fields(message: bytes) -> dict[int, int | bytes]:
    """Return the fields of a message that are varints or hold bytes, by their number."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        number, at = _read_varint(message, at)
        match key & 7:
            case 0:
                found[key >> 3] = number
            case 2:
                found[key >> 3] = message[at : at + number]
                at += number
            case _:
                raise ValueError("a field of a kind that the answer has none of")
    return found


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        digit = message[at]
        number |= (digit & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if digit < _ONE_BYTE:
            return number, at
