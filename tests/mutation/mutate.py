"""The mutants of a file: one small change each, made in its text where the syntax tree says."""

import ast
import contextlib
import copy
import enum
import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple

_COMPARE: Mapping[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_COMPUTE: Mapping[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
}  # fmt: skip
_CALLS = {
    "find": "rfind",
    "startswith": "endswith",
    "endswith": "startswith",
    "upper": "lower",
    "min": "max",
    "max": "min",
}
_IN_REGEX = {r"\r": r"\n", r"\n": r"\r", r"\x00": r"\x01", r"\.": ".", "!": "=", "*": "+", "+": "*", "|": ""}
_REGEX_TOKEN = re.compile(r"\\x..|\\.|.", re.DOTALL)
_DELETED = (ast.Expr, ast.Assign, ast.AugAssign, ast.Return, ast.Raise, ast.Break, ast.Continue, ast.If)


class Mutant(NamedTuple):
    """A change of one file; all but *text* is what the list of equivalent mutants knows it by."""

    file: str
    where: str
    old: str
    new: str
    text: bytes


def mutants(file: str, source: bytes, module: ModuleType, *, edges_only: bool) -> Iterator[Mutant]:
    """Every mutant of *file*, which was imported as *module*."""
    tree = ast.parse(source)
    seen = {ast.dump(tree)}
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for where, node, new, told in _walk(tree, "", module, edges_only):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        text = source[:start] + new.encode() + source[end:]
        first, last = starts[node.lineno - 1], starts[node.end_lineno]
        changed = text[first : last + len(text) - len(source)]
        if (dump := ast.dump(ast.parse(text))) not in seen:
            seen.add(dump)
            yield Mutant(file, where, _flat(source[first:last]), told or _flat(changed), text)


def _flat(text: bytes) -> str:
    return " ".join(text.decode().split())


def _walk(node: ast.AST, where: str, module: ModuleType, edges_only: bool) -> Iterator[tuple[str, Any, str, str]]:
    """For each mutant: the function that it is in, the node, the text in its place, and how it is told of."""
    if isinstance(node, ast.Call) and (edge := _edge(node, module)) is not None:
        for told, field, value in _edges(edge):
            yield where, node, f'__import__("attrs").evolve({ast.unparse(node)}, {field}={value})', told
        return
    if not edges_only:
        for at, new in _changes(node, module, where):
            statement = isinstance(at, ast.stmt)
            yield where, at, new if statement else f"({new})", ""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        where = f"{where}.{node.name}".lstrip(".")
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases") or isinstance(node, ast.JoinedStr):
            continue
        if name == "args" and _is_compile(node):  # its pattern is no string like others
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_apart(child):
                yield from _walk(child, where, module, edges_only)


def _is_apart(node: ast.AST) -> bool:
    """Whether it is prose or a declaration without a value: docstrings, ``__slots__``, messages."""
    match node:
        case ast.Expr(value=ast.Constant()) | ast.Assign(targets=[ast.Name(id="__slots__")]):
            return True
        case ast.keyword(arg="note" | "rfc" | "unit" | "hit"):
            return True
    return False


def _is_compile(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "compile"


# --- the table -----------------------------------------------------------------------------------


def _edge(call: ast.Call, module: ModuleType) -> Any:
    """The edge that *call* makes, if it does."""
    if not isinstance(call.func, ast.Name) or call.func.id not in ("Edge", "_hello", "ClientEdge", "_client_hello"):
        return None
    try:
        return eval(ast.unparse(call), vars(module))
    except NameError:  # inside _hello and _client_hello
        return None


def _edges(edge: Any) -> Iterator[tuple[str, str, str]]:
    """Each fact of *edge* made another: told, field, value."""
    from smtpcore._machine import COMMAND_PHASES, ClientEdge, Gate, Phase  # the copy's, and not for long

    of_client = isinstance(edge, ClientEdge)
    # Where a client may stand with no reply to come; where there is one, that alone forbids the next command.
    idle = (Phase.CONNECT, Phase.HELLO, Phase.READY, Phase.TLS, Phase.BODY, Phase.CHUNK)
    for phase in edge.sources:
        yield f"sources without {phase.name}", "sources", _tuple(each for each in edge.sources if each is not phase)
    asked = edge.is_verb or edge.input == "other"
    if of_client and edge.input in ("HELO", "RCPT", "DATA", "BDAT", "BDAT LAST"):  # issued with or after another
        asked = False
    for phase in idle if of_client else COMMAND_PHASES:
        if asked and phase not in edge.sources:
            yield f"sources with {phase.name}", "sources", _tuple((*edge.sources, phase))
    for field in ("ok", "no"):
        stays = {None, *edge.sources} if len(edge.sources) == 1 else {None}  # two ways to say it
        present = getattr(edge, field)
        order = list(Phase)
        index = order.index(present or edge.sources[0])
        for phase in (None, order[index - 1], order[(index + 1) % len(order)]):
            if phase is not present and not {phase, present} <= stays:
                yield f"{field}={phase and phase.name}", field, _member(phase)
    if of_client:
        yield from _client_facts(edge)
        return
    if not edge.is_verb:  # what follows is asked of commands alone
        return
    for field in ("ends_group", "junk"):
        yield f"{field} flipped", field, str(not getattr(edge, field))
    for gate in Gate:
        if gate in edge.gates:
            yield f"gates without {gate.name}", "gates", _tuple(each for each in edge.gates if each is not gate)
        else:
            yield f"gates with {gate.name}", "gates", _tuple((*edge.gates, gate))


def _client_facts(edge: Any) -> Iterator[tuple[str, str, str]]:
    from smtpcore._deadlines import CLIENT_DEADLINES
    from smtpcore._machine import Gate

    if edge.is_verb or edge.input == "other":
        gated = Gate.TLS in edge.gates  # the one that a client has
        yield f"gates {'without' if gated else 'with'} TLS", "gates", _tuple(() if gated else (Gate.TLS,))
    if not edge.codes:  # what follows is asked of replies alone
        return
    for code in edge.codes:
        others = tuple(each for each in edge.codes if each != code)
        for told, codes in (("without", others), ("one more than", (*others, code + 1))):
            yield f"codes {told} {code}", "codes", repr(codes)
    for field in ("ends_group", "exact"):
        yield f"{field} flipped", field, str(not getattr(edge, field))
    order = list(CLIENT_DEADLINES)
    deadline = order[(order.index(edge.deadline) + 1) % len(order)]
    yield f"deadline={deadline.name}", "deadline", _member(deadline)


def _tuple(members: Any) -> str:
    return f"({''.join(f'{_member(each)}, ' for each in members)})"


def _member(member: enum.Enum | None) -> str:
    if member is None:
        return "None"
    name = type(member).__name__
    return f'__import__("smtpcore._machine", fromlist=["{name}"]).{name}.{member.name}'


# --- all else ------------------------------------------------------------------------------------


def _changes(node: ast.AST, module: ModuleType, where: str) -> Iterator[tuple[Any, str]]:
    for at, new in _statements(node, where) if isinstance(node, ast.stmt) else _expressions(node, module):
        yield at, new if isinstance(new, str) else ast.unparse(ast.fix_missing_locations(new))


def _like(node: Any, **changes: Any) -> Any:
    new = copy.copy(node)
    new.__dict__.update(changes)
    return new


def _not(test: ast.expr) -> Iterator[tuple[ast.AST, ast.AST]]:
    if not isinstance(test, ast.Compare) and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
        yield test, ast.UnaryOp(ast.Not(), test)


def _statements(node: ast.stmt, where: str) -> Iterator[tuple[ast.AST, Any]]:
    if where.rpartition(".")[2].islower() and isinstance(node, _DELETED):  # in a function, not in a class
        yield node, "pass"
    match node:
        case ast.Return(value=ast.expr()):
            yield node, "return None"
        case ast.If() | ast.While():
            yield from _not(node.test)
        case ast.AugAssign(op=op) if type(op) in _COMPUTE:
            yield node, _like(node, op=_COMPUTE[type(op)]())
            yield node, ast.Assign([node.target], node.value)


def _expressions(node: ast.AST, module: ModuleType) -> Iterator[tuple[ast.AST, Any]]:
    match node:
        case ast.Compare(ops=ops):
            for index, op in enumerate(ops):
                for other in _COMPARE[type(op)]:
                    yield node, _like(node, ops=[*ops[:index], other(), *ops[index + 1 :]])
        case ast.BinOp(op=op) if type(op) in _COMPUTE:
            yield node, _like(node, op=_COMPUTE[type(op)]())
        case ast.BoolOp(op=op, values=values):
            yield node, _like(node, op=ast.And() if isinstance(op, ast.Or) else ast.Or())
            for index in range(len(values)):
                rest = [*values[:index], *values[index + 1 :]]
                yield node, _like(node, values=rest) if len(rest) > 1 else rest[0]
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield node, operand
        case ast.IfExp(test=test):
            yield from _not(test)
        case ast.Slice(lower=lower, upper=upper):
            if lower is not None:
                yield lower, "None"
            if upper is not None:
                yield upper, "None"
        case ast.Tuple(elts=elts, ctx=ast.Load()) if len(elts) > 1 and not any(
            isinstance(e, ast.Starred) for e in elts
        ):
            for index in range(len(elts)):
                yield node, _like(node, elts=[*elts[:index], *elts[index + 1 :]])
            if all(isinstance(each, ast.Constant) for each in elts):
                yield node, _like(node, elts=elts[::-1])
        case ast.Attribute(value=ast.Name(id=name), attr=attr, ctx=ast.Load()):
            kind = getattr(module, name, None)
            if isinstance(kind, enum.EnumMeta):
                members = list(kind.__members__)
                yield node, f"{name}.{members[(members.index(attr) + 1) % len(members)]}"
        case ast.Call(func=ast.Attribute(attr="compile"), args=[ast.Constant(value=str() | bytes() as pattern), *_]):
            for new in _patterns(pattern if isinstance(pattern, str) else pattern.decode("latin-1")):
                yield node.args[0], repr(new if isinstance(pattern, str) else new.encode("latin-1"))
        case ast.Call(func=ast.Attribute(attr=name) as func) if name in _CALLS:
            yield func, _like(func, attr=_CALLS[name])
        case ast.Call(func=ast.Name(id=name) as func) if name in _CALLS:
            yield func, _CALLS[name]
        case ast.Constant(value=constant):
            for value in _constants(constant):
                yield node, repr(value)


def _patterns(pattern: str) -> Iterator[str]:
    """Each token of a regular expression made another or dropped, where one comes out."""
    tokens = _REGEX_TOKEN.findall(pattern)
    for index, token in enumerate(tokens):
        new = "".join([*tokens[:index], _IN_REGEX.get(token, ""), *tokens[index + 1 :]])
        with contextlib.suppress(re.error):
            re.compile(new)
            yield new


def _constants(value: object) -> Iterator[object]:
    match value:
        case bool():
            yield not value
        case int() | float():
            yield value + 1
            yield value - 1
        case bytes():
            for index in range(len(value)):
                yield value[:index] + value[index + 1 :]
            yield value[:-1] + (b"X" if value[-1:] != b"X" else b"Y")
        case str() if " " not in value:
            yield "" if value else "X"
