"""Write the pages that are made from the code and the tests; ``--check`` only says which are stale."""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs

from smtpcore import ClientLimits, Limits, __main__ as tells
from smtpcore_trio import Admission

DOCS = Path(__file__).parent
TESTS = DOCS.parent / "tests"
sys.path.insert(0, str(TESTS))

from hostile_rows import ROWS  # noqa: E402


def reference() -> str:
    """What the engine runs."""
    return f"""# Reference

Made from the code by `make docs`; do not edit. `python -m smtpcore TOPIC` prints each part.

# The server

## States

The server's phases and what leads from one to another. An edge marked ✗ is taken when the answer is no.

```mermaid
{tells.diagram()}```

## Edges

A verb with no edge from the present phase is answered with 503; an unknown one with 500; a known one that is not
enabled with 502; a malformed argument with 501. None of these asks the application. After a refused BDAT, and after a
BDAT out of place, its octets are consumed before the reply. In LMTP, LHLO stands for EHLO and HELO.

{tells.edges()}
## Limits

One connection holds at most {Limits().memory():,} octets because of the limits as they stand, and one read more.

{tells.limits()}
## Admission

The limits of a `smtpcore_trio` server on connections, to all its ports together, before anything is said.

{admission()}
## Deadlines

Times are arguments, in seconds of any monotonic clock. COMMAND and BODY count only while the engine waits for the
client, so a slow application makes no client late.

{tells.deadlines()}
## Extensions

Those that are standard are on without being asked for; the others need something from the application, or promise
something that it must keep.

{tells.extension_table()}
## Replies

The replies that the engine gives by itself. Replace any of them in `ServerConfig.replies`.

{tells.replies()}
# The client

## States

The phases bear the names of the server's, and a client is in one as soon as it has read the reply that leads there.

```mermaid
{tells.client_diagram()}```

## Edges

A command that has no edge from the present phase raises `LocalProtocolError`, and so does one before the reply to
the last, but for those that PIPELINING permits. A 4xx or 5xx says no. A 2xx that is not in the table says yes and is
told as a `Deviation`, where the table does not say otherwise; any other reply ends the connection as a violation.

{tells.client_edges()}
## Limits

One connection holds at most {ClientLimits().memory():,} octets because of the limits as they stand, beside its
envelopes and one read more.

{tells.client_limits()}
## Deadlines

Each bounds the time to a whole reply, or to the end of a write, however the octets of it come.

{tells.client_deadlines()}"""


def admission() -> str:
    """The fields of `Admission`, and what its docstring says of each."""
    said = inspect.getdoc(Admission) or ""
    told = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", said, re.MULTILINE)
    meanings = {name: " ".join(text.split()).rstrip(".") for name, text in told}
    rows = [f"| {field.name} | {_shown(field.default)} | {meanings[field.name]} |" for field in attrs.fields(Admission)]
    return "\n".join(["| limit | default | what it is |", "|---|---|---|", *rows, ""])


def _shown(default: object) -> str:
    match default:
        case None | ():
            return "none"
        case bool():
            return "yes" if default else "no"
        case (count, seconds):
            return f"{count} in {seconds:g} s"
        case _:
            return f"{default:,}"


def _tests() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in sorted(TESTS.rglob("test_*.py")):
        if "node_modules" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                    yield path, node


def _marked(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for mark in node.decorator_list:
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.catalogue":
            yield from (argument.value for argument in mark.args if isinstance(argument, ast.Constant))


def hostile() -> str:
    """The catalogue, and the tests that prove each row."""
    proofs: dict[str, set[str]] = {}
    for path, node in _tests():
        for row in _marked(node):
            proofs.setdefault(row, set()).add(path.relative_to(TESTS).as_posix())
    lines = [f"| {row} | {what} | {' '.join(sorted(proofs.get(row, ())))} |" for row, what in ROWS.items()]
    return "\n".join(
        [
            "# What hostile and broken peers send",
            "",
            "Made by `make docs`; do not edit. Each row is a class of failure that SMTP software has had, what this",
            "package does instead, and the test files that prove it.",
            "",
            "| row | class | proof |",
            "|---|---|---|",
            *lines,
            "",
        ]
    )


def conformance() -> str:
    """The sections of the RFCs, and the dialogues that hold the engine to them."""
    lines = [
        "# Conformance",
        "",
        "Made by `make docs`; do not edit. The sections of the RFCs that have dialogues in `tests/rfc`, which are held",
        "line by line and again octet by octet.",
    ]
    found: dict[str, list[tuple[str, str]]] = {}
    for path, node in _tests():
        rfc = re.fullmatch(r"test_(?:client_)?rfc(\d+)", path.stem)
        section = re.match(r"test_((?:\d+_)+|appendix_[a-z]\d*_)(.*)", node.name)
        if rfc and section:
            number = section[1].rstrip("_").replace("appendix_", "appendix ").replace("_", ".")
            found.setdefault(rfc[1], []).append((number, section[2].replace("_", " ")))
    for rfc, sections in sorted(found.items(), key=lambda item: int(item[0])):
        lines += ["", f"## RFC {rfc}", "", "| section | what is held |", "|---|---|"]
        lines += [f"| {number} | {what} |" for number, what in sections]
    return "\n".join([*lines, ""])


PAGES = {"reference.md": reference, "hostile.md": hostile, "conformance.md": conformance}


def main() -> int:
    """Write the pages, or check them."""
    stale = []
    for name, made in PAGES.items():
        page, fresh = DOCS / name, made()
        if not page.exists() or page.read_text(encoding="utf-8") != fresh:
            stale.append(name)
            if "--check" not in sys.argv:
                page.write_text(fresh, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.stderr.write(f"stale: {', '.join(stale)}; run make docs\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
