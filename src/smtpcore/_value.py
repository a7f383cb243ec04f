"""Value classes: compared and hashed by content, frozen where it costs nothing.

Every event, command and setting is a value. To the type checker all of them are frozen. At run time
a frozen attrs class pays for each attribute it sets (three times the cost of an object), and the
engine makes several objects a command, so they are really frozen only under ``python -X dev``,
where the tests run.
"""

import sys
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

import attrs

_C = TypeVar("_C", bound=type)
_T = TypeVar("_T")

FROZEN = sys.flags.dev_mode


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def value(cls: _C) -> _C:
    """Make *cls* a value: slots, ``__init__`` from the annotations, equality and hash by content."""
    return _define(cls)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(attrs.field,))
def settings(cls: _C) -> _C:
    """A value whose fields are given by keyword only, for configuration."""
    return _define_settings(cls)


_define: Callable[[_C], _C] = attrs.define(frozen=FROZEN, unsafe_hash=True)
_define_settings: Callable[[_C], _C] = attrs.define(frozen=FROZEN, unsafe_hash=True, kw_only=True)


def fields(cls: type) -> tuple["attrs.Attribute[Any]", ...]:
    """The fields of a value class, in their order."""
    declared: tuple[attrs.Attribute[Any], ...] = cls.__attrs_attrs__  # type: ignore[attr-defined]
    return declared


def evolve(of: _T, **changes: object) -> _T:
    """A copy of *of* with some fields changed."""
    changed: _T = attrs.evolve(of, **changes)  # type: ignore[misc]
    return changed
