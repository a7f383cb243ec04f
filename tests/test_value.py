"""Values: equal and hashed by content, frozen in development mode."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from smtpcore._value import FROZEN, evolve, fields, settings, value

SRC = Path(__file__).parents[1] / "src"


@value
class Point:
    x: int
    y: int = 0


@settings
class Options:
    depth: int = 1
    name: str = ""


@value
class Word:
    """Equal to any spelling of itself."""

    text: str

    def __eq__(self, other: object) -> bool:
        return self.text.lower() == other.text.lower() if isinstance(other, Word) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text.lower())


def test_content_is_compared_and_hashed() -> None:
    assert Point(1) == Point(1, 0) != Point(1, 2)
    assert len({Point(1), Point(1, 0), Point(1, 2)}) == 2
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"


def test_own_comparison_is_kept() -> None:
    assert Word("a") == Word("A") != Word("b")


def test_own_hash_is_kept() -> None:
    assert hash(Word("a")) == hash(Word("A"))


def test_value_has_slots() -> None:
    assert not hasattr(Point(1), "__dict__")
    assert not hasattr(Options(), "__dict__")


def test_settings_by_keyword_only() -> None:
    assert Options(depth=2) == Options(name="", depth=2) != Options()
    assert len({Options(), Options(depth=1)}) == 1
    options_class: Any = Options
    with pytest.raises(TypeError):
        options_class(2)


def test_fields_in_order() -> None:
    assert [field.name for field in fields(Point)] == ["x", "y"]
    assert [field.name for field in fields(Options)] == ["depth", "name"]


def test_evolve() -> None:
    point = Point(1, 2)
    assert evolve(point, y=3) == Point(1, 3)
    assert point == Point(1, 2)
    with pytest.raises(TypeError):
        evolve(point, z=3)


def test_tests_run_with_frozen_values() -> None:
    assert FROZEN, "run the tests by python -X dev"
    point: Any = Point(1)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        point.x = 2
    options: Any = Options()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        options.depth = 2


@pytest.mark.parametrize(("options", "outcome"), [([], "2 True"), (["-X", "dev"], "FrozenInstanceError True")])
def test_frozen_in_development_mode_only(options: list[str], outcome: str) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(SRC)!r})
from smtpcore._value import value
@value
class Point:
    x: int
point = Point(1)
try:
    point.x = 2
    print(point.x, end=" ")
except Exception as error:
    print(type(error).__name__, end=" ")
print(hash(Point(3)) == hash(Point(3)))
"""
    run = subprocess.run([sys.executable, "-I", *options, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == outcome
