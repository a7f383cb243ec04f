"""Dialogues that read like the examples of an RFC, for either side."""

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from .._address import NULL_PATH, Mailbox
from .._client_config import ClientConfig
from .._config import ServerConfig, decode_params
from .._dialect import SMTP, Dialect
from .._envelope import NO_MAIL_PARAMS, Envelope, MailParams, Recipient
from .._events import Peer, ServerEvent, TlsInfo, Wait
from .._server import ServerConnection
from .._value import evolve, value
from ..extensions import ALL
from ._client_driver import CLIENT_CONFIG, ClientDriver, describe
from ._intents import Greet, HangUp, Intent, Leave, LogIn, Pause, Say, Secure, Send
from ._server_driver import CONFIG, PEER, QUESTIONS, ServerDriver, accept_all, joined, read_reply


class DialogueError(AssertionError):
    """The engine did not do what a dialogue says, or the dialogue is not well written."""


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DialogueError(otherwise)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """The marks of a dialogue, and what stands behind them."""
    for line in text.split("\n"):
        if stripped := line.strip():
            mark, _, rest = stripped.partition(" ")
            yield mark, rest


def _octets(mark: str, rest: str) -> bytes:
    """What a line with ``:`` or ``~`` stands for."""
    if mark.endswith(":"):
        return rest.encode() + b"\r\n"
    return rest.encode("ascii").decode("unicode_escape").encode("latin-1")


def _shown(octets: bytes) -> str:
    """*octets* as lines, without blanks at their ends; what is not UTF-8 escaped."""
    return octets.decode("utf-8", "backslashreplace").replace(" \r\n", "\n").replace("\r\n", "\n")


def _compare(of: str, heard: bytes, wanted: list[str], after: str) -> None:
    shown, expected = _shown(heard), "".join(f"{line}\n" for line in wanted)
    _check(shown == expected, f"after {after}\nthe {of} said:\n{shown}and should have said:\n{expected}")


# --- the server's side ---------------------------------------------------------------------------


@value
class _Group:
    """What the client sends at once, and what comes of it."""

    sent: bytes = b""
    decisions: list[tuple[str, str]] = attrs.field(factory=list)
    said: list[str] = attrs.field(factory=list)


_SERVER_HAPPENINGS = ("TLS", "EOF", "CLOSED")


def _groups(text: str) -> Iterator[_Group | str]:
    """Groups and happenings in their order. There is always a group before a happening."""
    sent, group = b"", _Group()
    for mark, rest in _lines(text):
        if mark in ("C:", "C~"):
            if group.said:
                yield evolve(group, sent=sent)
                sent, group = b"", _Group()
            sent += _octets(mark, rest)
        elif mark == "S:":
            group.said.append(rest)
        elif mark == "A:":
            question, _, decision = rest.partition(" ")
            group.decisions.append((question, decision))
        elif mark in _SERVER_HAPPENINGS:
            yield evolve(group, sent=sent)
            yield mark
            sent, group = b"", _Group()
        else:
            raise DialogueError(f"not a line of a server's dialogue: {mark} {rest}")
    yield evolve(group, sent=sent)


class _Application:
    """Says what the dialogue has it say, and yes to all else."""

    def __init__(self) -> None:
        self.decisions: list[tuple[str, str]] = []

    def __call__(self, conn: ServerConnection, event: ServerEvent) -> None:
        if not isinstance(event, QUESTIONS):
            return
        if self.decisions and self.decisions[0][0] == type(event).__name__:
            _decide(conn, event, self.decisions.pop(0)[1])
        else:
            accept_all(conn, event)


def _decide(conn: ServerConnection, question: Any, decision: str) -> None:
    verb, _, rest = decision.partition(" ")
    match verb:
        case "accept":
            conn.accept(question, read_reply(rest) if rest else None)
        case "reject":
            conn.reject(question, read_reply(rest))
        case "settle":
            conn.settle(question, [read_reply(each.strip()) for each in rest.split("|")])
        case _:
            raise DialogueError(f"no such decision: {decision}")


def _hold_server(driver: ServerDriver, application: _Application, text: str, cut: int | None) -> None:
    application.decisions = []
    started = False
    for step in _groups(text):
        if isinstance(step, _Group):
            application.decisions = [*step.decisions]
            if not started:
                started = True
                driver.pump()
            driver.feed(step.sent, cut)
            _compare("server", driver.fresh(), step.said, f"{step.sent[-200:]!r}")
            _check(not application.decisions, f"no question for the decision: {application.decisions}")
        elif step == "TLS":
            _check(driver.wait is Wait.TLS, f"the server waits for no handshake, but for {driver.wait}")
            driver.handshake()
        elif step == "EOF":
            driver.eof()
        else:
            _check(driver.wait is Wait.CLOSED, f"the server does not want to close, but {driver.wait}")


def play_server(
    text: str,
    config: ServerConfig = CONFIG,
    *,
    dialect: Dialect = SMTP,
    peer: Peer = PEER,
    tls: TlsInfo | None = None,
    greet: bool = True,
) -> ServerDriver:
    r"""Hold a dialogue with a server connection: this plays the client.

    The lines of *text* are::

        S: 220 mx.example.org ESMTP ready      what the server says, but for blanks at the end
        C: EHLO client.example                 a line of the client's; CR LF is added
        C~ abc\r\n                             octets of the client's as they are, with escapes
        A: RcptTo reject 550 5.1.1 No such     what the application says to a question of the lines above
        TLS                                    the handshake that the server waits for succeeds
        EOF                                    the client closes its side
        CLOSED                                 the server wants the connection closed

    Lines of the client's with nothing between them are one group: sent at once. The application says
    ``accept``, perhaps with a reply, ``reject`` with one, or ``settle`` with several (``250 Ok | 450 Full``); to
    a question that no ``A:`` names it says yes.

    The dialogue is held twice, group by group and octet by octet, and both must come to the same events.
    What is returned is the driver of the former.

    Args:
        greet: put the server's stock greeting in front: the dialogue is about what comes later.

    Raises:
        DialogueError: the server did not say that, or said other things octet by octet.
    """
    if greet:
        text = f"S: 220 {config.hostname} {dialect.protocol} ready\n" + text
    drivers = []
    for cut in (None, 1):
        application = _Application()
        driver = ServerDriver(config, dialect=dialect, peer=peer, tls=tls, answer=application, start=False)
        _hold_server(driver, application, text, cut)
        drivers.append(driver)
    whole, cut_up = (joined(driver.events) for driver in drivers)
    _check(whole == cut_up, f"whole it came to\n{whole}\nand octet by octet to\n{cut_up}")
    return drivers[0]


# --- the client's side ---------------------------------------------------------------------------


@value
class _Turn:
    """What happens to the client, in order, and what comes of it."""

    inputs: list[tuple[str, Any]] = attrs.field(factory=list)
    said: list[str] = attrs.field(factory=list)
    events: list[str] = attrs.field(factory=list)


_CLIENT_HAPPENINGS = ("TLS", "NOTLS", "EOF", "CLOSED")
_STOCK_MESSAGE = b"Hello\r\n"


def _turns(text: str) -> Iterator[_Turn]:
    turn = _Turn()
    for mark, rest in _lines(text):
        if mark == "C:":
            turn.said.append(rest)
            continue
        if mark == "E:":
            turn.events.append(rest)
            continue
        if mark in ("M:", "M~"):
            _check(bool(turn.inputs) and isinstance(turn.inputs[-1][1], Send), "M: stands behind I: send")
            message = turn.inputs[-1][1].message
            message = b"" if message is _STOCK_MESSAGE else message
            turn.inputs[-1] = ("I:", evolve(turn.inputs[-1][1], message=message + _octets(mark, rest)))
            continue
        if turn.said or turn.events:
            yield turn
            turn = _Turn()
        if mark in ("S:", "S~"):
            turn.inputs.append(("S:", _octets(mark, rest)))
        elif mark == "I:":
            turn.inputs.append(("I:", _intent(rest)))
        elif mark in _CLIENT_HAPPENINGS:
            turn.inputs.append((mark, None))
        else:
            raise DialogueError(f"not a line of a client's dialogue: {mark} {rest}")
    yield turn


_MAIL_PARAMS = {param.keyword: (param, each.keyword) for each in ALL for param in each.params if param.verb == "MAIL"}
_KEYWORDS = frozenset(each.keyword for each in ALL)


def _send(rest: str) -> Intent:
    paths, _, params = rest.partition(";")
    sender, _, recipients = paths.partition("->")
    sender = sender.strip()
    return Send(
        Envelope(
            NULL_PATH if sender == "<>" else Mailbox.parse(sender),
            tuple(Recipient(Mailbox.parse(each)) for each in recipients.split()),
            decode_params(params.strip(), _MAIL_PARAMS, _KEYWORDS, MailParams) if params else NO_MAIL_PARAMS,
        ),
        _STOCK_MESSAGE,
    )


def _say(rest: str) -> Intent:
    verb, _, argument = rest.partition(" ")
    return Say(verb, argument)


_INTENTS: dict[str, Callable[[str], Intent]] = {
    "hello": Greet,
    "starttls": lambda rest: Secure(),
    "auth": lambda rest: LogIn(*rest.split(" ", 1)),
    "send": _send,
    "say": _say,
    "quit": lambda rest: Leave(),
    "close": lambda rest: HangUp(),
    "wait": lambda rest: Pause(float(rest)),
}


def _intent(text: str) -> Intent:
    word, _, rest = text.partition(" ")
    if word not in _INTENTS:
        raise DialogueError(f"no such intent: {text}")
    return _INTENTS[word](rest)


def _hold_client(driver: ClientDriver, text: str, cut: int | None) -> None:
    for turn in _turns(text):
        before = len(driver.events)
        for mark, what in turn.inputs:
            _happen(driver, mark, what, cut)
        after = " ".join(str(what or mark) for mark, what in turn.inputs)
        _compare("client", driver.fresh(), turn.said, after[-200:])
        if turn.events:
            came = [describe(event) for event in driver.events[before:]]
            agree = len(came) == len(turn.events) and all(
                f"{one} ".startswith(f"{wanted} ") for one, wanted in zip(came, turn.events, strict=True)
            )
            listed = "\n".join(turn.events)
            _check(agree, f"after {after[-200:]}\nthere came:\n" + "\n".join(came) + f"\nand not:\n{listed}")


def _happen(driver: ClientDriver, mark: str, what: Any, cut: int | None) -> None:
    match mark:
        case "S:":
            driver.feed(what, cut)
        case "I:":
            driver.do(what)
            driver.pump()
        case "TLS":
            _check(driver.wait is Wait.TLS, f"the client waits for no handshake, but for {driver.wait}")
            driver.handshake()
        case "NOTLS":
            driver.fail_handshake()
        case "EOF":
            driver.eof()
        case _:  # CLOSED
            _check(driver.wait is Wait.CLOSED, f"the client does not want to close, but {driver.wait}")


def play_client(
    text: str,
    config: ClientConfig = CLIENT_CONFIG,
    *,
    dialect: Dialect = SMTP,
    tls: TlsInfo | None = None,
) -> ClientDriver:
    r"""Hold a dialogue with a client connection: this plays the server, and tells the client's application what to do.

    The lines of *text* are::

        S: 220 mx.example.org ESMTP ready      a line of the server's; CR LF is added
        S~ 250 Ok\r\n                          octets of the server's as they are, with escapes
        I: hello client.example                what the client is to do next
        M: Subject: Tea                        a line of the message of the ``I: send`` above; CR LF is added
        M~ \xff\r\n                            octets of it, with escapes
        C: EHLO client.example                 what the client says, but for blanks at the end
        E: HelloDone 250                       an event that comes of the lines above: how `describe` begins
        TLS, NOTLS                             the handshake that the client waits for succeeds, fails
        EOF                                    the server closes its side
        CLOSED                                 the client wants the connection closed

    What the client says and the events that come are behind the lines that they come of; where there are
    ``E:`` lines, they name all of these events, in their order. The intents are::

        I: hello client.example
        I: starttls
        I: auth tim secret
        I: send a@b.example -> c@d.example e@d.example ; SIZE=100 BODY=8BITMIME     <> for the null path
        I: say VRFY tim                        RSET, NOOP, VRFY, EXPN, HELP, or any other command
        I: quit
        I: close
        I: wait 300                            so many seconds pass

    The dialogue is held twice, group by group and octet by octet, and both must come to the same events.
    What is returned is the driver of the former.

    Raises:
        LocalProtocolError: an intent is not possible when it comes.
        DialogueError: the client did not say that, or other events came, or others octet by octet.
    """
    drivers = []
    for cut in (None, 1):
        driver = ClientDriver(config, dialect=dialect, tls=tls)
        _hold_client(driver, text, cut)
        drivers.append(driver)
    whole, cut_up = ([describe(event) for event in driver.events] for driver in drivers)
    _check(whole == cut_up, f"whole it came to\n{whole}\nand octet by octet to\n{cut_up}")
    return drivers[0]
