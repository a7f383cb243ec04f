"""The machine's table: what it says is what happens, and what the RFCs say is in it."""

import pytest
from _dialogue import PEER, TLS, Driver, accept_all, config

from smtpcore import (
    LMTP,
    SMTP,
    BodyEnd,
    Cause,
    Closed,
    Connected,
    Dialect,
    Edge,
    Gate,
    Limits,
    Phase,
    Question,
    Refused,
    Reply,
    ServerConfig,
    ServerConnection,
    ServerEvent,
    StartTls,
)
from smtpcore._events import Report
from smtpcore._machine import COMMAND_PHASES, CORE, rows, to_mermaid
from smtpcore.extensions import AUTH, ETRN, STANDARD, STARTTLS, xclient, xforward
from smtpcore.sasl import PLAIN

ALL = (*STANDARD, STARTTLS, AUTH, ETRN, xclient(lambda peer: True), xforward(lambda peer: True))
SETTINGS = config(
    extensions=ALL,
    mechanisms=(PLAIN,),
    cleartext_auth=True,
    verify=True,
    limits=Limits(junk_commands=1, errors=100, unknown_before_hello=100),
)

LINES = {
    "EHLO": "EHLO client.example", "HELO": "HELO client.example", "LHLO": "LHLO client.example", "MAIL": "MAIL FROM:<>",
    "RCPT": "RCPT TO:<b@example.org>", "DATA": "DATA", "BDAT": "BDAT 2", "RSET": "RSET", "NOOP": "NOOP", "QUIT": "QUIT",
    "VRFY": "VRFY b", "EXPN": "EXPN b", "HELP": "HELP", "STARTTLS": "STARTTLS", "AUTH": "AUTH PLAIN",
    "ETRN": "ETRN example.org", "XCLIENT": "XCLIENT ADDR=192.0.2.2", "XFORWARD": "XFORWARD ADDR=192.0.2.2",
}  # fmt: skip
PATHS = {
    Phase.HELLO: [],
    Phase.READY: ["hello"],
    Phase.MAIL: ["hello", "MAIL FROM:<>"],
    Phase.RCPT: ["hello", "MAIL FROM:<>", "RCPT TO:<b@example.org>"],
    Phase.BDAT: ["hello", "MAIL FROM:<>", "RCPT TO:<b@example.org>", "BDAT 0"],
}
NO = Reply(550, "No")
QUESTIONS = Question.__args__


def at(phase: Phase, dialect: Dialect = SMTP, settings: ServerConfig = SETTINGS) -> Driver:
    """A session in *phase* whose application says yes."""
    driver = Driver(settings, dialect=dialect)
    for line in PATHS[phase]:
        driver.say(f"{dialect.hello[0]} client.example" if line == "hello" else line)
    assert driver.conn.phase is phase
    return driver


def no(conn: ServerConnection, event: ServerEvent) -> None:
    if isinstance(event, QUESTIONS):
        conn.reject(event, NO)


def edges(dialect: Dialect) -> list[tuple[Dialect, Phase, Edge]]:
    return [(dialect, source, edge) for edge in SETTINGS.plan(dialect).edges for source in edge.sources]


VERBS = [each for dialect in (SMTP, LMTP) for each in edges(dialect) if each[2].is_verb]
INSIDE = {edge.input: edge for _, _, edge in edges(SMTP) if not edge.is_verb}


def named(parameter: object) -> str:
    return str(getattr(parameter, "input", getattr(parameter, "name", parameter)))


@pytest.mark.parametrize(("dialect", "source", "edge"), VERBS, ids=named)
def test_an_accepted_command_leads_where_the_table_says(dialect: Dialect, source: Phase, edge: Edge) -> None:
    driver = at(source, dialect)
    driver.say(LINES[edge.input])
    assert driver.conn.phase is (edge.ok or source)
    assert not driver.seen(Refused)


@pytest.mark.parametrize(("dialect", "source", "edge"), VERBS, ids=named)
def test_a_rejected_command_leads_where_the_table_says(dialect: Dialect, source: Phase, edge: Edge) -> None:
    driver = at(source, dialect)
    driver.answer = no
    before = len(driver.events)
    driver.say(LINES[edge.input], *([""] if edge.input == "BDAT" else []))
    if any(isinstance(event, QUESTIONS) for event in driver.events[before:]):
        assert driver.conn.phase is (edge.no or source)
        assert driver.out.endswith(b"550 5.0.0 No\r\n") or driver.out.endswith(b"550 No\r\n")


def inside(what: str, yes: bool) -> Driver:
    """A session in which *what* has just happened, and was well or not."""
    stray = b"" if yes else b"\n"
    if what == "connect":
        return Driver(SETTINGS, answer=accept_all if yes else no)
    if what == "final dot":
        driver = at(Phase.RCPT)
        driver.say("DATA")
        driver.answer = lambda conn, event: None
        driver.feed(stray + b".\r\n" if yes else stray + b"\r\n.\r\n")
        return driver
    if what == "verdict":
        driver = at(Phase.RCPT)
        driver.say("DATA")
        driver.answer = accept_all if yes else no
        driver.feed(b".\r\n")
        return driver
    if what in ("octets", "octets of LAST"):
        driver = at(Phase.RCPT)
        driver.say("BDAT 2 LAST" if what == "octets of LAST" else "BDAT 2")
        assert driver.conn.phase is Phase.CHUNK
        driver.answer = lambda conn, event: None
        driver.feed(b"\r\n" if yes else b"\na")
        return driver
    if what == "handshake":
        driver = at(Phase.HELLO)
        driver.say("STARTTLS")
        if yes:
            driver.handshake()
        else:
            driver.conn.tls_failed()
            driver.pump()
        return driver
    assert what == "exchange"
    driver = at(Phase.READY)
    driver.say("AUTH PLAIN")
    driver.answer = accept_all if yes else no
    driver.say("AGEAYg==")
    return driver


@pytest.mark.parametrize("yes", [True, False], ids=["yes", "no"])
@pytest.mark.parametrize("what", INSIDE)
def test_what_happens_inside_leads_where_the_table_says(what: str, yes: bool) -> None:
    edge = INSIDE[what]
    assert inside(what, yes).conn.phase is (edge.ok if yes else edge.no)


# RFC 2920 3.1: "The EHLO, DATA, VRFY, EXPN, TURN, QUIT, and NOOP commands can only appear as the last command in a
# group since their success or failure produces a change of state which the client SMTP must accommodate." Behind those
# that change what the octets mean nothing may come; the others do no harm. RFC 3207 4.2 and RFC 4954 4 add two.
ENDS_GROUP = {"EHLO", "HELO", "LHLO", "DATA", "STARTTLS", "AUTH", "XCLIENT"}


@pytest.mark.catalogue("F10")
@pytest.mark.parametrize(("dialect", "source", "edge"), [each for each in VERBS if each[0] is SMTP], ids=named)
def test_what_ends_a_group(dialect: Dialect, source: Phase, edge: Edge) -> None:
    driver = at(source, dialect)
    driver.say(LINES[edge.input], "RSET")
    early = Closed(Cause.PROTOCOL, "early input") in driver.events
    assert early == edge.ends_group == (edge.input in ENDS_GROUP)


JUNK = {"NOOP", "RSET", "VRFY", "EXPN", "HELP", "ETRN"}


@pytest.mark.parametrize(("dialect", "source", "edge"), VERBS, ids=named)
def test_what_is_junk(dialect: Dialect, source: Phase, edge: Edge) -> None:
    # One is permitted here; so it is the second that ends the session.
    driver = at(source, dialect)
    driver.say("NOOP")
    driver.say(LINES[edge.input])
    repeated = edge.input in dialect.hello and source is not Phase.HELLO
    junk = Closed(Cause.LIMIT, "junk_commands") in driver.events
    assert junk == (edge.input in JUNK or repeated)
    assert edge.junk == (edge.input in JUNK)


# RFC 3207 4: "530 Must issue a STARTTLS command first to every command other than NOOP, EHLO, STARTTLS, or QUIT";
# XCLIENT and XFORWARD come from a front end that is trusted already.
BEFORE_TLS = {"EHLO", "HELO", "LHLO", "NOOP", "QUIT", "STARTTLS", "XCLIENT", "XFORWARD"}
# RFC 4954 6: "530 ... SHOULD be returned by any command other than AUTH, EHLO, HELO, NOOP, RSET, or QUIT when server
# policy requires authentication"; what depends on MAIL is barred with it, and HELP harms nobody.
AFTER_AUTH = {"MAIL", "VRFY", "EXPN", "ETRN"}


@pytest.mark.parametrize(("dialect", "source", "edge"), edges(SMTP), ids=named)
def test_gates(dialect: Dialect, source: Phase, edge: Edge) -> None:
    if edge.is_verb:
        assert (Gate.TLS in edge.gates) == (edge.input not in BEFORE_TLS)
        assert (Gate.AUTH in edge.gates) == (edge.input in AFTER_AUTH)
    else:
        assert not edge.gates


@pytest.mark.parametrize("verb", LINES)
@pytest.mark.parametrize("demand", ["tls_required", "auth_required"])
def test_a_gate_that_is_shut(demand: str, verb: str) -> None:
    shut = config(extensions=ALL, mechanisms=(PLAIN,), cleartext_auth=True, **{demand: True})
    driver = at(Phase.READY, settings=shut)
    before = len(driver.events)
    driver.say(LINES[verb], *([""] if verb == "BDAT" else []))
    passes = verb in BEFORE_TLS if demand == "tls_required" else verb not in AFTER_AUTH
    questions = [event for event in driver.events[before:] if isinstance(event, QUESTIONS)]
    if not passes:
        assert questions == []
        assert driver.conn.phase is Phase.READY
        assert [event.reply.code for event in driver.seen(Refused)] in ([530], [503])
    else:
        assert b"530 " not in driver.out


@pytest.mark.parametrize("phase", COMMAND_PHASES[1:], ids=named)
def test_a_gate_that_was_passed(phase: Phase) -> None:
    settings = config(extensions=ALL, mechanisms=(PLAIN,), tls_required=True, auth_required=True)
    driver = Driver(settings, tls=TLS)
    driver.say("EHLO client.example")
    driver.say("AUTH PLAIN AGEAYg==")
    for line in PATHS[phase][1:]:
        driver.say(line)
    assert driver.conn.phase is phase


# --- the table as data --------------------------------------------------------------------------------


def test_rows_are_found_by_phase_and_input() -> None:
    table = rows(CORE)
    assert set(table) == set(Phase)
    assert table[Phase.RCPT]["DATA"].ok is Phase.BODY
    assert "DATA" not in table[Phase.MAIL]
    assert dict(table[Phase.CLOSED]) == {}


def test_two_edges_for_one_input() -> None:
    with pytest.raises(ValueError, match="two edges for NOOP in READY"):
        rows((*CORE, Edge((Phase.READY,), "NOOP")))


def test_verbs_are_in_upper_case() -> None:
    assert Edge((Phase.READY,), "NOOP").is_verb
    assert not Edge((Phase.EOM,), "verdict").is_verb
    assert not Edge((Phase.CHUNK,), "octets of LAST").is_verb


def test_no_verb_of_a_client_is_taken_for_what_happens_inside() -> None:
    # (CONNECT is a verb of HTTP, and ends the session for that.)
    inputs = [edge.input for _, _, edge in edges(SMTP) if not edge.is_verb and edge.input != "connect"]
    assert inputs
    for dialect in (SMTP, LMTP):
        for phase in COMMAND_PHASES:
            driver = at(phase, dialect)
            before = driver.conn.phase
            for name in inputs:
                driver.say(name)
            assert driver.conn.phase is before
            assert len(driver.seen(Refused)) == len(inputs)


def test_phases_of_commands_and_of_nothing_else() -> None:
    for phase in Phase:
        has_verbs = any(edge.is_verb for _, source, edge in edges(SMTP) if source is phase)
        assert has_verbs == (phase in COMMAND_PHASES)


def test_every_phase_is_reached_and_left() -> None:
    reached = {target for _, _, edge in edges(SMTP) for target in (edge.ok, edge.no) if target is not None}
    left = {source for _, _, edge in edges(SMTP) for source in edge.sources}
    assert reached | {Phase.CONNECT} == set(Phase)
    assert left | {Phase.CLOSED} == set(Phase)


def test_diagram() -> None:
    diagram = to_mermaid(
        (
            Edge((Phase.CONNECT,), "connect", Phase.HELLO, Phase.CLOSED),
            Edge((Phase.HELLO, Phase.READY), "EHLO", Phase.READY),
            Edge((Phase.HELLO,), "HELO", Phase.READY),
            Edge((Phase.READY,), "NOOP"),
        )
    )
    assert diagram.split("\n") == [
        "stateDiagram-v2",
        "    [*] --> CONNECT",
        "    CONNECT --> HELLO: connect",
        "    CONNECT --> CLOSED: connect ✗",
        "    HELLO --> READY: EHLO, HELO",
        "    CLOSED --> [*]",
        "",
    ]


def test_unions_are_closed() -> None:
    # What the documents call questions and reports is all that a connection can say.
    assert {each.__name__ for each in Question.__args__} == {
        "Connected", "Hello", "StartTls", "PasswordCheck", "SecretWanted", "TokenCheck", "MailFrom", "RcptTo",
        "BodyBegin",
        "BodyEnd", "Verify", "Extended", "XClient",
    }  # fmt: skip
    assert {each.__name__ for each in Report.__args__} == {
        "BodyChunk", "BodyAborted", "Reset", "Authenticated", "AuthFailed", "Refused", "Deviation", "Quit", "Closed",
    }  # fmt: skip
    assert Connected(PEER) == Connected(PEER)
    assert StartTls() == StartTls()
    assert BodyEnd(1) != BodyEnd(2)
