"""The state machine, as a table: phases, and the edges between them.

Whatever moves a connection from one phase to another is an `Edge` here, or in the file of the
extension that brings its verb. The connections look edges up and follow them; the documents and the
tests are made from them. A verb with no edge from the present phase is out of order: 503.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Final

from ._value import value


class Phase(enum.Enum):
    """Where a server connection stands; the value says what it waits for."""

    __hash__ = object.__hash__  # Enum's is Python code, and phases are looked up at every command

    CONNECT = "whether to greet the client"
    HELLO = "EHLO, HELO or LHLO"
    READY = "a transaction"
    AUTH = "the client's answer in a SASL exchange"
    TLS = "the TLS handshake"
    MAIL = "the first recipient"
    RCPT = "another recipient, or the message"
    BODY = "the end of the message after DATA"
    CHUNK = "the end of a BDAT chunk"
    BDAT = "the next BDAT chunk"
    EOM = "the verdict over the message"
    CLOSED = "nothing"


class Gate(enum.Enum):
    """What a config may demand before a verb is taken."""

    TLS = "tls_required"
    AUTH = "auth_required"


@value
class Edge:
    """What one input does in some phases.

    Args:
        sources: the phases it is taken in.
        input: a verb; or in lower case something that happens inside the connection.
        ok: the phase after it was accepted; None stays.
        no: the phase after it was rejected; None stays.
        ends_group: nothing may be sent behind it before its reply (RFC 2920 section 3.1).
        junk: counts against `Limits.junk_commands`.
        gates: what may be demanded before it.
        note: for the table in the documents.
    """

    sources: tuple[Phase, ...]
    input: str
    ok: Phase | None = None
    no: Phase | None = None
    ends_group: bool = False
    junk: bool = False
    gates: tuple[Gate, ...] = ()
    note: str = ""

    @property
    def is_verb(self) -> bool:
        """Whether the input is a command of the client."""
        return self.input.isupper()


COMMAND_PHASES: Final = (Phase.HELLO, Phase.READY, Phase.MAIL, Phase.RCPT, Phase.BDAT)
"""The phases in which the next octets are a command line."""

TRANSACTION_PHASES: Final = (Phase.MAIL, Phase.RCPT, Phase.BDAT)

_TLS = (Gate.TLS,)
_TLS_AUTH = (Gate.TLS, Gate.AUTH)


def _hello(verb: str) -> Edge:
    # RFC 5321 4.1.4: a later EHLO clears the state "exactly as if a RSET command had been issued".
    return Edge(COMMAND_PHASES, verb, Phase.READY, ends_group=True, note="drops the transaction")


CORE: Final = (
    Edge((Phase.CONNECT,), "connect", Phase.HELLO, Phase.CLOSED, note="question Connected"),
    _hello("EHLO"),
    _hello("HELO"),
    _hello("LHLO"),
    Edge((Phase.READY,), "MAIL", Phase.MAIL, gates=_TLS_AUTH, note="question MailFrom"),
    Edge((Phase.MAIL, Phase.RCPT), "RCPT", Phase.RCPT, gates=_TLS, note="question RcptTo"),
    Edge((Phase.RCPT,), "DATA", Phase.BODY, ends_group=True, gates=_TLS, note="question BodyBegin"),
    Edge((Phase.BODY,), "final dot", Phase.EOM, Phase.READY, note="no: a message that was refused on the way"),
    Edge((Phase.EOM,), "verdict", Phase.READY, Phase.READY, note="question BodyEnd"),
    # RFC 5321 4.1.1.5: RSET "MUST be a no-op" before EHLO and where there is no transaction.
    Edge((Phase.HELLO, Phase.READY), "RSET", junk=True, gates=_TLS),
    Edge(TRANSACTION_PHASES, "RSET", Phase.READY, junk=True, gates=_TLS, note="drops the transaction"),
    Edge(COMMAND_PHASES, "NOOP", junk=True),
    Edge(COMMAND_PHASES, "HELP", junk=True, gates=_TLS),
    Edge(COMMAND_PHASES, "VRFY", junk=True, gates=_TLS_AUTH, note="question Verify, where the config wants it"),
    Edge(COMMAND_PHASES, "EXPN", junk=True, gates=_TLS_AUTH, note="question Verify, where the config wants it"),
    Edge(COMMAND_PHASES, "QUIT", Phase.CLOSED),
)
"""The edges of RFC 5321."""


def rows(edges: Iterable[Edge]) -> Mapping[Phase, Mapping[str, Edge]]:
    """For each phase, its edges by input.

    Raises:
        ValueError: two edges claim the same input in the same phase.
    """
    table: dict[Phase, dict[str, Edge]] = {phase: {} for phase in Phase}
    for edge in edges:
        for source in edge.sources:
            if edge.input in table[source]:
                raise ValueError(f"two edges for {edge.input} in {source.name}")
            table[source][edge.input] = edge
    return table


def to_mermaid(edges: Iterable[Edge]) -> str:
    """A state diagram of *edges* in the language of Mermaid; edges that stay are left out."""
    arrows: dict[tuple[Phase, Phase], list[str]] = {}
    for edge in edges:
        for source in edge.sources:
            for target, mark in ((edge.ok, ""), (edge.no, " ✗")):
                if target is not None and target is not source:
                    arrows.setdefault((source, target), []).append(edge.input + mark)
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.CONNECT.name}"]
    lines += [f"    {a.name} --> {b.name}: {', '.join(inputs)}" for (a, b), inputs in arrows.items()]
    lines.append(f"    {Phase.CLOSED.name} --> [*]")
    return "\n".join(lines) + "\n"
