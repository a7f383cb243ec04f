"""Envelopes as text, and back."""

import json
import types
from collections.abc import Iterator
from typing import get_args, get_type_hints

import attrs
import pytest
from hypothesis import given, strategies as st

from smtpcore import (
    STANDARD,
    Envelope,
    Mailbox,
    MailParams,
    NullPath,
    RcptParams,
    Recipient,
    Ret,
)
from smtpcore.testing.strategies import envelopes
from smtpcore_trio.relay.spool import Undecodable, Unencodable
from smtpcore_trio.relay.spool._codec import _ENUMS, _VALUES, decode, encode

PLAIN = Envelope.parse("a@example.org", ["b@example.org"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
SURROGATES = st.text(st.characters())


def exactly(value: object) -> object:
    """What tells spellings apart that are equal to a value."""
    kind: type = type(value)
    if attrs.has(kind):
        return [kind, *(exactly(getattr(value, field.name)) for field in attrs.fields(kind))]
    if isinstance(value, tuple):
        return [tuple, *map(exactly, value)]
    if isinstance(value, types.MappingProxyType):
        return dict(value)
    return [type(value), value]


@given(envelopes(STANDARD))
def test_every_envelope_comes_back(envelope: Envelope) -> None:
    assert exactly(decode(encode(envelope))) == exactly(envelope)
    assert encode(decode(encode(envelope))) == encode(envelope)


@given(st.dictionaries(SURROGATES, JSON, max_size=3), st.dictionaries(st.text(), JSON, max_size=3), SURROGATES)
def test_extra_comes_back(mail: dict[str, object], rcpt: dict[str, object], envid: str) -> None:
    recipient = Recipient(Mailbox("b", "example.org"), RcptParams(extra=rcpt))
    envelope = Envelope(NullPath(), (recipient,), MailParams(extra=mail, envid=envid))
    assert decode(encode(envelope)) == envelope
    assert repr(decode(encode(envelope)).params.extra or {}) in (
        repr(types.MappingProxyType(mail)),
        "mappingproxy({})",
        "{}",
    )


def loop() -> list[object]:
    made: list[object] = []
    made.append(made)
    return made


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ((1,), r"extra\['x'\] is not JSON: \(1,\)"),
        (b"octets", r"extra\['x'\] is not JSON"),
        (float("nan"), r"extra\['x'\] is not JSON"),
        (float("-inf"), r"extra\['x'\] is not JSON"),
        (Ret.FULL, r"extra\['x'\] is not JSON"),
        ([1, {"y": {1, 2}}], r"extra\['x'\]\[1\]\['y'\] is not JSON"),
        ({1: 2}, r"extra\['x'\] has a name that is not text: 1"),
        (types.MappingProxyType({}), r"extra\['x'\] is not JSON"),
        (10**5000, "extra is not JSON: Exceeds the limit"),
        (loop(), "extra is not JSON: maximum recursion"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_json_is_refused(value: object, where: str) -> None:
    with pytest.raises(Unencodable, match=where):
        encode(Envelope(PLAIN.reverse_path, PLAIN.recipients, MailParams(extra={"x": value})))


def test_what_is_no_part_of_an_envelope_is_refused() -> None:
    with pytest.raises(Unencodable, match="does not hold complex"):
        encode(Envelope(PLAIN.reverse_path, PLAIN.recipients, MailParams(size=1j)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (b"", "not an envelope"),
        (b"\xff", "not an envelope"),
        (b"[]", "not an envelope"),
        (b"{}", "not an envelope"),
        (b'{"version":2,"envelope":{"Later":{}}}', "version 2, and this program knows 1"),
        (b'{"version":1,"envelope":null}', "NoneType"),
        (b'{"version":1,"envelope":{"Mailbox":{"local_part":"a","domain":"b"}}}', "Mailbox"),
        (b'{"version":1,"envelope":{}}', "not an envelope"),
        (b'{"version":1,"envelope":{"Elsewhere":{}}}', "not an envelope"),
        (b'{"version":1,"envelope":{"Envelope":{"unknown":1}}}', "not an envelope"),
        (b'{"version":1,"envelope":{"Envelope":[]}}', "not an envelope"),
        (b'{"version":1,"envelope":{"Body":"9BIT"}}', "not an envelope"),
        (b'{"version":1,"envelope":' + b'{"tuple":[' * 100_000, "not an envelope"),
    ],
)
def test_what_is_no_envelope_is_told(kept: bytes, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        decode(kept)


def test_kept_form_is_stable() -> None:
    """What was written by an earlier program is read by a later one."""
    kept = {
        "version": 1,
        "envelope": {
            "Envelope": {
                "reverse_path": {"NullPath": {}},
                "recipients": {
                    "tuple": [
                        {
                            "Recipient": {
                                "path": {"Mailbox": {"local_part": "b", "domain": "example.org"}},
                                "params": {
                                    "RcptParams": {"notify": {"set": [{"Notify": "DELAY"}, {"Notify": "SUCCESS"}]}}
                                },
                            }
                        }
                    ]
                },
                "params": {
                    "MailParams": {"size": 5, "body": {"Body": "8BITMIME"}, "auth": "<>", "extra": {"json": {"x": [1]}}}
                },
            }
        },
    }
    octets = json.dumps(kept, separators=(",", ":")).encode()
    assert encode(decode(octets)) == octets


def parts(kind: object) -> Iterator[type]:
    """The classes that a type is made of."""
    if isinstance(kind, type) and kind.__module__.startswith("smtpcore"):
        yield kind
        if attrs.has(kind):
            for hint in get_type_hints(kind).values():
                yield from parts(hint)
    for inner in get_args(kind):
        yield from parts(inner)


def test_every_class_of_an_envelope_is_known() -> None:
    found = {kind.__name__ for kind in parts(Envelope)}
    assert {"Envelope", "Mailbox", "Notify", "DeliverBy"} <= found
    assert found == {*_VALUES, *_ENUMS, "NullPath"}
