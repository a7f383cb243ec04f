"""Value classes: compared and hashed by content, frozen where it costs nothing.

Every event, command and setting is a value. To the type checker all of them are frozen. At run time
a frozen attrs class pays for each attribute it sets (three times the cost of an object), and the
engine makes several objects a command, so they are really frozen only under ``python -X dev``,
where the tests run.
"""

import sys
from typing import Any, TypeVar, dataclass_transform

import attrs

_C = TypeVar("_C", bound=type)
_T = TypeVar("_T")

FROZEN = sys.flags.dev_mode


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def value(cls: _C) -> _C:
    """Make *cls* a value: slots, ``__init__`` from the annotations, equality and hash by content."""
    return _define(cls, kw_only=False)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(attrs.field,))
def settings(cls: _C) -> _C:
    """A value whose fields are given by keyword only, for configuration."""
    return _define(cls, kw_only=True)


def _define(cls: _C, *, kw_only: bool) -> _C:
    # None leaves a hash of the class's own alone; True would replace it.
    unsafe_hash = None if "__hash__" in vars(cls) else True
    return attrs.define(frozen=FROZEN, unsafe_hash=unsafe_hash, kw_only=kw_only)(cls)


def fields(cls: type) -> tuple["attrs.Attribute[Any]", ...]:
    """The fields of a value class, in their order."""
    declared: tuple[attrs.Attribute[Any], ...] = cls.__attrs_attrs__  # type: ignore[attr-defined]
    return declared


def evolve(of: _T, **changes: object) -> _T:
    """A copy of *of* with some fields changed."""
    changed: _T = attrs.evolve(of, **changes)  # type: ignore[misc]
    return changed
