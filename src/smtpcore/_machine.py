"""The state machine, as a table: phases, and the edges between them.

Whatever moves a connection from one phase to another is an `Edge` here, or in the file of the
extension that brings its verb. The connections look edges up and follow them; the documents and the
tests are made from them. A verb with no edge from the present phase is out of order: 503.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from ._deadlines import Deadline
from ._value import value


class Phase(enum.Enum):
    """Where a connection stands; the value says what is waited for, by a server or for it."""

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


_E = TypeVar("_E", bound=Edge)

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


@value
class ClientEdge(Edge):
    """What one command of a client, or its reply, does.

    A command is sent in one of the *sources*; with PIPELINING it may be sent before that phase is reached. The
    connection moves as the reply comes.

    Args:
        codes: the replies that say yes. Each 4xx and 5xx says no.
        exact: no other reply of that class says yes, either: it breaks the protocol.
        deadline: how long the reply may take.
    """

    codes: tuple[int, ...] = ()
    exact: bool = False
    deadline: Deadline = Deadline.COMMAND


_IDLE: Final = (Phase.HELLO, Phase.READY)


def _client_hello(verb: str) -> ClientEdge:
    return ClientEdge(_IDLE, verb, Phase.READY, ends_group=True, codes=(250,), note="5xx to EHLO: HELO follows")


# RFC 2920 3.1: "EHLO, DATA, VRFY, EXPN, TURN, QUIT, and NOOP can only appear as the last command in a group".
CLIENT: Final = (
    ClientEdge(
        (Phase.CONNECT,), "greeting", Phase.HELLO, codes=(220,), deadline=Deadline.GREETING, note="no: QUIT is left"
    ),
    _client_hello("EHLO"),
    _client_hello("HELO"),
    _client_hello("LHLO"),
    # RFC 3207 4: 220 is the only reply after which a handshake may begin.
    ClientEdge((Phase.READY,), "STARTTLS", Phase.TLS, ends_group=True, codes=(220,), exact=True),
    ClientEdge((Phase.TLS,), "handshake", Phase.HELLO, Phase.CLOSED, note="forgets everything"),
    ClientEdge((Phase.READY,), "AUTH", Phase.READY, ends_group=True, gates=_TLS, codes=(235,), exact=True),
    ClientEdge((Phase.READY, Phase.AUTH), "challenge", Phase.AUTH, codes=(334,), exact=True),
    ClientEdge((Phase.AUTH,), "exchange", Phase.READY, Phase.READY, codes=(235,), exact=True),
    ClientEdge(
        (Phase.READY,),
        "XCLIENT",
        Phase.HELLO,
        ends_group=True,
        gates=_TLS,
        codes=(220,),
        note="the session starts anew",
    ),
    ClientEdge(
        (Phase.READY, Phase.EOM), "MAIL", Phase.MAIL, Phase.READY, gates=_TLS, codes=(250,), deadline=Deadline.MAIL
    ),
    ClientEdge((Phase.MAIL, Phase.RCPT), "RCPT", Phase.RCPT, gates=_TLS, codes=(250, 251, 252), deadline=Deadline.RCPT),
    ClientEdge(
        (Phase.MAIL, Phase.RCPT), "nobody", Phase.READY, note="every recipient was refused; RSET before the next"
    ),
    # "250" to DATA is no leave to send a message: 354 alone is.
    ClientEdge(
        (Phase.RCPT,),
        "DATA",
        Phase.BODY,
        Phase.READY,
        ends_group=True,
        gates=_TLS,
        codes=(354,),
        exact=True,
        deadline=Deadline.DATA,
        note="no: RSET before the next",
    ),
    ClientEdge((Phase.RCPT,), "chunks", Phase.CHUNK, note="every recipient is answered, and BDAT is to be used"),
    ClientEdge((Phase.BODY,), "final dot", Phase.EOM),
    ClientEdge((Phase.CHUNK,), "BDAT", gates=_TLS, codes=(250,), note="no: as for DATA"),
    ClientEdge((Phase.CHUNK,), "BDAT LAST", Phase.EOM, gates=_TLS),
    ClientEdge((Phase.CHUNK, Phase.EOM), "chunk refused", Phase.READY, note="RSET before the next"),
    ClientEdge(
        (Phase.EOM,),
        "verdict",
        Phase.READY,
        Phase.READY,
        codes=(250,),
        deadline=Deadline.DOT,
        note="LMTP: the last of one for each recipient",
    ),
    ClientEdge((*_IDLE, Phase.EOM), "RSET", codes=(250,), note="no: the connection is closed"),
    ClientEdge((Phase.CHUNK,), "abort", Phase.READY, note="RSET before the next"),
    ClientEdge(_IDLE, "NOOP", ends_group=True, codes=(250,)),
    ClientEdge(_IDLE, "HELP", ends_group=True, codes=(211, 214)),
    ClientEdge(_IDLE, "VRFY", ends_group=True, gates=_TLS, codes=(250, 251, 252)),
    ClientEdge(_IDLE, "EXPN", ends_group=True, gates=_TLS, codes=(250, 252)),
    # RFC 1985 5.3: ETRN is answered with 250, 251, 252 or 253.
    ClientEdge(
        (Phase.READY,),
        "other",
        ends_group=True,
        gates=_TLS,
        codes=(250, 251, 252, 253),
        note="a verb of an extension",
    ),
    ClientEdge(
        (Phase.CONNECT, *_IDLE, Phase.EOM),
        "QUIT",
        Phase.CLOSED,
        Phase.CLOSED,
        ends_group=True,
        codes=(221,),
        deadline=Deadline.QUIT,
    ),
)
"""The client's edges, of RFC 5321 and of the extensions that it acts on."""


def rows(edges: Iterable[_E]) -> Mapping[Phase, Mapping[str, _E]]:
    """For each phase, its edges by input.

    Raises:
        ValueError: two edges claim the same input in the same phase.
    """
    table: dict[Phase, dict[str, _E]] = {phase: {} for phase in Phase}
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
