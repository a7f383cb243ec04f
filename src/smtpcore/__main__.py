"""What the engine says of itself: ``python -m smtpcore TOPIC``.

The documents' tables are what this prints, so they show what the code runs.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from typing import Final

from . import _dialect, extensions
from ._address import Mailbox
from ._client import ClientConnection
from ._client_events import BodyWanted, Greeting, HelloDone, TransactionDone
from ._config import Plan, ServerConfig
from ._deadlines import CLIENT_DEADLINES, DEADLINES, DeadlineRow
from ._envelope import Envelope, Recipient
from ._events import BodyChunk, BodyEnd, Peer, RcptTo, Wait
from ._limits import ClientLimits, ClientTimeouts, Limits, Timeouts, rows
from ._machine import CLIENT, Edge, to_mermaid
from ._reply import Replies, Reply
from ._server import ServerConnection
from ._value import fields
from .sasl import PLAIN

_ALL: Final = (
    *extensions.STANDARD,
    extensions.BINARYMIME,
    extensions.DSN,
    extensions.LIMITS,
    extensions.REQUIRETLS,
    extensions.MT_PRIORITY,
    extensions.future_release(86400, "2038-01-19T03:14:07Z"),
    extensions.deliver_by(),
    extensions.RRVS,
    extensions.ETRN,
    extensions.no_soliciting(),
    extensions.xclient(lambda _peer: True),
    extensions.xforward(lambda _peer: True),
    extensions.STARTTLS,
    extensions.AUTH,
)


def _plan() -> Plan:
    """Everything that can be enabled, enabled; all three dialects' greetings apart."""
    return ServerConfig(hostname="mx.example.org", extensions=_ALL, mechanisms=(PLAIN,)).plan(_dialect.SMTP)


def _table(head: Iterable[str], body: Iterable[Iterable[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + "---|" * (lines[0].count("|") - 1))
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in body]
    return "\n".join(lines) + "\n"


def diagram() -> str:
    """The server's states, as a Mermaid diagram."""
    return to_mermaid(_plan().edges)


def client_diagram() -> str:
    """The client's states, as a Mermaid diagram."""
    return to_mermaid(CLIENT)


def edges() -> str:
    """The edges of the server's machine."""
    return _table(("from", "input", "ok", "no", "note"), ((*_moves(edge), _note(edge)) for edge in _plan().edges))


def client_edges() -> str:
    """The edges of the client's machine."""
    return _table(
        ("from", "command or event", "yes", "no", "replies that say yes", "deadline", "note"),
        (
            (
                *_moves(edge),
                " ".join(map(str, edge.codes)) + (" and no other 2xx or 3xx" if edge.exact else ""),
                edge.deadline.name if edge.codes else "",
                _note(edge),
            )
            for edge in CLIENT
        ),
    )


def _moves(edge: Edge) -> tuple[str, ...]:
    return (
        " ".join(phase.name for phase in edge.sources),
        edge.input,
        edge.ok.name if edge.ok else "stay",
        edge.no.name if edge.no else "stay",
    )


def _note(edge: Edge) -> str:
    return "; ".join(filter(None, (edge.note, "ends a group" if edge.ends_group else "")))


def deadlines() -> str:
    """The server's deadlines."""
    return _deadlines(DEADLINES.values(), Timeouts())


def client_deadlines() -> str:
    """The client's deadlines."""
    return _deadlines(CLIENT_DEADLINES.values(), ClientTimeouts())


def _deadlines(table: Iterable[DeadlineRow], lengths: Timeouts | ClientTimeouts) -> str:
    replies = Replies()
    return _table(
        ("deadline", "seconds", "armed when", "moved", "on expiry"),
        (
            (
                row.deadline.name,
                f"{getattr(lengths, row.deadline.value):g}",
                row.armed,
                row.moved,
                "close" if row.reply is None else f"{_start(getattr(replies, row.reply))}, close",
            )
            for row in table
        ),
    )


def limits() -> str:
    """The limits of one connection of a server."""
    return _limits(Limits)


def client_limits() -> str:
    """The limits of one connection of a client."""
    return _limits(ClientLimits)


def _limits(kind: type[Limits] | type[ClientLimits]) -> str:
    replies = Replies()
    return _table(
        ("limit", "default", "what is counted", "least", "when it is hit"),
        (
            (
                row.name,
                "none" if row.default is None else f"{row.default:,}",
                row.unit,
                f"{row.floor:,} ({row.rfc})" if row.rfc else "",
                row.hit.replace("{reply}", _start(getattr(replies, row.reply)) if row.reply else ""),
            )
            for row in rows(kind)
        ),
    )


def extension_table() -> str:
    """The extensions, what they add, and whether they are on without being asked for."""
    return _table(
        ("keyword", "RFC", "parameters", "verbs", "standard"),
        (
            (
                each.keyword,
                each.rfc or "none",
                " ".join(f"{param.keyword} ({param.verb})" for param in each.params),
                " ".join(verb.edge.input for verb in each.verbs if verb.edge.is_verb),
                "yes" if each in extensions.STANDARD else "",
            )
            for each in _ALL
        ),
    )


def replies() -> str:
    """The stock replies by name."""
    stock = Replies()
    return _table(
        ("name", "code", "status", "text"),
        (
            (field.name, reply.code, reply.status or "", reply.text)
            for field in fields(Replies)
            for reply in (getattr(stock, field.name),)
        ),
    )


def _start(reply: Reply) -> str:
    return f"{reply.code} {reply.status}" if reply.status else str(reply.code)


_MESSAGE: Final = b"Subject: hello\r\n\r\nA message that never saw a socket.\r\n.\r\n"


def demo() -> str:
    """A session in memory: a client and a server, what each tells, and what each says to the other."""
    lines: list[str] = []
    server = ServerConnection(ServerConfig(hostname="mx.example.org"), peer=Peer("192.0.2.1"))
    client = ClientConnection()
    while True:
        _serve(server, lines)
        octets = b"".join(server.data_to_send(now=0.0))
        server.data_sent(now=0.0)
        lines += [f"S: {line}" for line in octets.decode().rstrip("\r\n").split("\r\n")]
        client.receive_data(octets, now=0.0)
        if _ask(client, lines) is Wait.CLOSED:
            return "\n".join(lines) + "\n"
        octets = b"".join(client.data_to_send(now=0.0))
        client.data_sent(now=0.0)
        lines += [f"C: {line}" for line in octets.decode().rstrip("\r\n").split("\r\n")]
        server.receive_data(octets, now=0.0)


def _serve(server: ServerConnection, lines: list[str]) -> None:
    while not isinstance(event := server.next_event(), Wait):
        lines.append(f"   server: {event}")
        if isinstance(event, RcptTo) and event.path.local == "nobody":
            server.reject(event, Reply(550, "No such mailbox", "5.1.1"))
        elif isinstance(event, BodyEnd):
            server.accept(event, Reply(250, "Queued as 1", "2.0.0"))
        elif server.awaits_answer and not isinstance(event, BodyChunk):
            server.accept(event)  # type: ignore[arg-type]


def _ask(client: ClientConnection, lines: list[str]) -> Wait:
    while not isinstance(event := client.next_event(), Wait):
        lines.append(f"   client: {event}")
        match event:
            case Greeting():
                client.hello("client.example")
            case HelloDone():
                to = tuple(Recipient(Mailbox(name, "example.org")) for name in ("bob", "nobody"))
                client.send(Envelope(Mailbox("alice", "client.example"), to))
            case BodyWanted(transaction):
                client.send_body(transaction, _MESSAGE)
                client.end_body(transaction)
            case TransactionDone():
                client.quit()
            case _:
                pass
    return event


TOPICS: Final[dict[str, Callable[[], str]]] = {
    "diagram": diagram,
    "edges": edges,
    "deadlines": deadlines,
    "limits": limits,
    "extensions": extension_table,
    "replies": replies,
    "client-diagram": client_diagram,
    "client-edges": client_edges,
    "client-deadlines": client_deadlines,
    "client-limits": client_limits,
    "demo": demo,
}


def main(arguments: list[str] | None = None) -> int:
    """Print one topic."""
    parser = argparse.ArgumentParser(
        prog="python -m smtpcore",
        description="What the SMTP engine says of itself.",
        epilog="\n".join(f"  {name:<18}{topic.__doc__}" for name, topic in TOPICS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("topic", choices=TOPICS, metavar="TOPIC", help=", ".join(TOPICS))
    sys.stdout.write(TOPICS[parser.parse_args(arguments).topic]())
    return 0


if __name__ == "__main__":
    sys.exit(main())
