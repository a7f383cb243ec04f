"""The rules between the files of src/, read from their syntax trees."""

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
ENGINE = SRC / "smtpcore"

# A file imports only from floors above its own. A package is one floor.
FLOORS = [
    "_value", "_secret", "_errors", "_reply", "_limits", "_grammar", "_address", "_envelope", "_commands", "_framing",
    "_events", "_deadlines", "_machine", "_dialect", "extensions", "sasl", "_config", "_auth", "_body", "_link",
    "_session", "_receiving", "_reading", "_server", "_capabilities", "_outgoing", "_transaction", "_client_events",
    "_client_config", "_composing", "_dialling", "_sending", "_client", "proxy", "testing", "__main__", "__init__",
]  # fmt: skip

# The engine reads no clock, opens nothing, draws no lots and runs on its caller's thread.
FORBIDDEN = {"time", "random", "logging", "os", "socket", "uuid", "threading", "ssl", "asyncio", "trio"}

# These split lines where SMTP does not, or make text of octets that are none.
FORBIDDEN_METHODS = {"splitlines", "readline", "readlines"}
FORBIDDEN_ERROR_HANDLERS = {"replace", "ignore"}

MAX_LINES = 600

Module = tuple[str, ...]  # ("sasl", "plain") is smtpcore.sasl.plain


def module_of(path: Path) -> Module:
    return path.relative_to(ENGINE).with_suffix("").parts


ENGINE_FILES = {module_of(path): path for path in sorted(ENGINE.rglob("*.py"))}


def imports(tree: ast.AST, module: Module) -> Iterator[Module]:
    """The modules that *module* imports, as full names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            package = ("smtpcore", *module)[: -node.level] if node.level else ()
            origin = (*package, *(node.module or "").split(".")) if node.module else package
            for alias in node.names:
                yield resolve(origin, alias.name)


def resolve(origin: Module, name: str) -> Module:
    """``from origin import name``: the module that *name* is, or the one that it is of."""
    if origin[0] == "smtpcore":
        for candidate in ((*origin, name), (*origin, name, "__init__")):
            if candidate[1:] in ENGINE_FILES:
                return candidate
    return origin


def inner(module: Module) -> Module:
    """A module of the engine by its path below src/smtpcore; a package by its ``__init__``."""
    return module[1:] if module[1:] in ENGINE_FILES else (*module[1:], "__init__")


def import_faults(tree: ast.AST, module: Module) -> Iterator[str]:
    """What is wrong with the imports of a file of the engine."""
    for imported in imports(tree, module):
        top = imported[0]
        if top == "smtpcore":
            target = inner(imported)
            if not may_import(module, target):
                yield f"{'.'.join(target)} is not above {'.'.join(module)}"
        elif top in FORBIDDEN:
            yield f"the engine does without {top}"
        elif top not in sys.stdlib_module_names and top != "attrs" and (module[0], top) != ("testing", "hypothesis"):
            yield f"{top} is neither attrs nor of the standard library"


def may_import(module: Module, target: Module) -> bool:
    if target == ("__main__",):
        return False
    if module[0] != target[0]:
        return FLOORS.index(target[0]) < FLOORS.index(module[0])
    # In a package, the leaves know its private files alone, and not each other; its __init__ knows all.
    return module[-1] == "__init__" or (target[-1].startswith("_") and target[-1] != "__init__")


def call_faults(tree: ast.AST) -> Iterator[str]:
    """The forbidden methods and error handlers that a file of the engine uses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_METHODS:
            yield f"line {node.lineno}: .{node.attr}"
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            handlers = [keyword.value for keyword in node.keywords if keyword.arg == "errors"]
            if called in {"decode", "encode"}:
                handlers += node.args[1:2]
            elif called in {"str", "bytes"}:
                handlers += node.args[2:3]
            for handler in handlers:
                if isinstance(handler, ast.Constant) and handler.value in FORBIDDEN_ERROR_HANDLERS:
                    yield f"line {node.lineno}: errors={handler.value!r}"


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_files_are_found() -> None:
    assert ("_value",) in ENGINE_FILES


@pytest.mark.parametrize("module", ENGINE_FILES, ids=".".join)
def test_floor_is_declared(module: Module) -> None:
    assert module[0] in FLOORS


@pytest.mark.parametrize("module", ENGINE_FILES, ids=".".join)
def test_imports_from_above(module: Module) -> None:
    assert list(import_faults(parse(ENGINE_FILES[module]), module)) == []


def test_imports_go_round_in_no_circle() -> None:
    graph = {
        module: [inner(imported) for imported in imports(parse(path), module) if imported[0] == "smtpcore"]
        for module, path in ENGINE_FILES.items()
    }
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.catalogue("A6", "E10")
@pytest.mark.parametrize("module", ENGINE_FILES, ids=".".join)
def test_no_guessing_at_lines_or_text(module: Module) -> None:
    assert list(call_faults(parse(ENGINE_FILES[module]))) == []


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda path: str(path.relative_to(SRC)))
def test_length(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").split("\n")) <= MAX_LINES + 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("_framing", "import time"),
        ("_framing", "from os.path import join"),
        ("_framing", "def f() -> None:\n    import ssl"),
        ("_framing", "if TYPE_CHECKING:\n    import trio"),
        ("_framing", "import hypothesis"),
        ("_framing", "import smtpcore_trio"),
        ("_framing", "from smtpcore_trio import serve"),
        ("_framing", "from ._events import Wait"),
        ("_framing", "from . import _events"),
        ("_framing", "import smtpcore._events"),
        ("_framing", "from smtpcore import _events"),
        ("_framing", "from . import Wait"),
        ("_framing", "from smtpcore import Wait"),
        ("proxy", "from . import __main__"),
        ("sasl/plain", "from .login import LOGIN"),
        ("sasl/plain", "from . import login"),
        ("sasl/plain", "from . import LOGIN"),
        ("sasl/plain", "from .._server import ServerConnection"),
        ("extensions/auth", "from ..sasl._mechanism import Challenge"),
    ],
)
def test_fault_in_imports_is_found(module: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for extra in ("__init__", "__main__", "_server", "sasl/__init__", "sasl/login"):
        monkeypatch.setitem(ENGINE_FILES, tuple(extra.split("/")), ENGINE)
    assert len(list(import_faults(ast.parse(source), tuple(module.split("/"))))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("_framing", "import re\nimport attrs\nfrom collections.abc import Callable"),
        ("_framing", "from ._limits import Limits"),
        ("_framing", "from . import _limits"),
        ("_server", "from .sasl import STANDARD\nfrom .extensions import STANDARD as X"),
        ("sasl/plain", "from .._events import Identity\nfrom ._mechanism import Challenge\nfrom . import _mechanism"),
        ("sasl/__init__", "from .login import LOGIN\nfrom . import login"),
        ("testing", "import hypothesis.strategies"),
        ("__init__", "from .proxy import ProxyParser\nfrom . import proxy"),
    ],
)
def test_good_imports_pass(module: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for extra in ("__init__", "extensions/__init__", "sasl/__init__", "sasl/login"):
        monkeypatch.setitem(ENGINE_FILES, tuple(extra.split("/")), ENGINE)
    assert list(import_faults(ast.parse(source), tuple(module.split("/")))) == []


@pytest.mark.parametrize(
    "source",
    [
        "data.splitlines()",
        "split = str.splitlines",
        "stream.readline()",
        "octets.decode('utf-8', 'replace')",
        "octets.decode(errors='ignore')",
        "text.encode('ascii', errors='replace')",
        "str(octets, 'utf-8', 'replace')",
        "codecs.decode(octets, errors='ignore')",
    ],
)
def test_fault_in_calls_is_found(source: str) -> None:
    assert len(list(call_faults(ast.parse(source)))) == 1


def test_good_calls_pass() -> None:
    tree = ast.parse("text.replace('replace', 'ignore'); octets.decode('utf-8', 'surrogateescape'); str(x); f(a)(b)")
    assert list(call_faults(tree)) == []
