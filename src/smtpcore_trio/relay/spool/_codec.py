"""Envelopes as text that is read again for years: every field, and nothing but JSON.

A value class is an object of one member, its name, with those of its fields that are not the default; an
enumeration, a tuple and a set likewise. So a field that is added later, with a default, needs no new version.
What extensions put into ``extra`` is kept as it is, and has to be JSON itself.
"""

import enum
import json
import math
import types
from collections.abc import Mapping
from typing import Any, Final

from smtpcore import (
    NULL_PATH,
    Body,
    DeliverBy,
    Envelope,
    Mailbox,
    MailParams,
    Notify,
    NullPath,
    OriginalRecipient,
    RcptParams,
    Recipient,
    RequireRecipientValidSince,
    Ret,
)
from smtpcore._value import fields

VERSION: Final = 1

_VALUES: Final[Mapping[str, type]] = {
    kind.__name__: kind
    for kind in (
        *(Envelope, Recipient, Mailbox, MailParams, RcptParams),
        *(DeliverBy, OriginalRecipient, RequireRecipientValidSince),
    )
}
# The name of a class, and those of its fields with their defaults.
_FIELDS: Final = {
    kind: (name, tuple((field.name, field.default) for field in fields(kind))) for name, kind in _VALUES.items()
}
_ENUMS: Final[Mapping[str, type[enum.Enum]]] = {kind.__name__: kind for kind in (Body, Ret, Notify)}

_dump: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class Unencodable(ValueError):
    """An envelope holds what cannot be kept."""


class Undecodable(ValueError):
    """What was kept is no envelope."""


def encode(envelope: Envelope) -> bytes:
    """*envelope* as ASCII.

    Raises:
        Unencodable: ``extra`` holds what is not JSON.
    """
    try:
        return _dump({"version": VERSION, "envelope": _encode(envelope)}).encode("ascii")
    except Unencodable:
        raise
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; a list that holds itself
        raise Unencodable(f"extra is not JSON: {error}") from error


def decode(octets: bytes) -> Envelope:
    """The envelope that *octets* were made of.

    Raises:
        Undecodable: they were made of none, or by a later version.
    """
    try:
        kept = json.loads(octets)
        version = kept["version"]
        envelope = _decode(kept["envelope"]) if version == VERSION else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Undecodable(f"not an envelope: {error!r}") from error
    if version != VERSION:
        raise Undecodable(f"an envelope of version {version!r}, and this program knows {VERSION}")
    if not isinstance(envelope, Envelope):
        raise Undecodable(f"not an envelope but {type(envelope).__name__}")
    return envelope


def _encode(value: object) -> object:
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind in _FIELDS:
        name, declared = _FIELDS[kind]
        held = [(field, getattr(value, field), default) for field, default in declared]
        return {name: {field: _encode(each) for field, each, default in held if each != default}}
    if isinstance(value, tuple):
        return {"tuple": [_encode(each) for each in value]}
    if isinstance(value, frozenset):
        return {"set": sorted((_encode(each) for each in value), key=_dump)}
    if isinstance(value, enum.Enum) and kind.__name__ in _ENUMS:
        return {kind.__name__: value.value}
    if isinstance(value, Mapping):
        _check_names("extra", value)
        return {"json": dict(value)}
    if kind is NullPath:
        return {"NullPath": {}}
    raise Unencodable(f"an envelope does not hold {kind.__name__}: {value!r}")


def _decode(kept: Any) -> Any:
    if not isinstance(kept, dict):
        return kept
    ((name, value),) = kept.items()
    if name == "tuple":
        return tuple(_decode(each) for each in value)
    if name == "set":
        return frozenset(_decode(each) for each in value)
    if name == "json":
        return types.MappingProxyType(value)
    if name == "NullPath":
        return NULL_PATH
    if name in _ENUMS:
        return _ENUMS[name](value)
    return _VALUES[name](**{field: _decode(each) for field, each in value.items()})


def _check_json(where: str, value: object) -> None:
    """Raise `Unencodable` unless *value* is the same after a turn through JSON."""
    kind = type(value)
    if kind in (str, int, bool) or value is None or (isinstance(value, float) and math.isfinite(value)):
        return
    if isinstance(value, list):
        for number, each in enumerate(value):
            _check_json(f"{where}[{number}]", each)
    elif isinstance(value, dict):
        _check_names(where, value)
    else:
        raise Unencodable(f"{where} is not JSON: {value!r}")


def _check_names(where: str, value: Mapping[Any, object]) -> None:
    for name, each in value.items():
        if type(name) is not str:
            raise Unencodable(f"{where} has a name that is not text: {name!r}")
        _check_json(f"{where}[{name!r}]", each)
