"""What mutants of the machine's table showed that no other test looks at."""

import pytest
from _dialogue import QUESTIONS, Driver, config

from smtpcore import (
    LMTP,
    SMTP,
    Deviation,
    Dialect,
    EarlyInput,
    Edge,
    Phase,
    Refused,
    Reply,
    ServerConnection,
    ServerEvent,
)
from smtpcore.extensions import AUTH, ETRN, STANDARD, STARTTLS, xclient, xforward
from smtpcore.sasl import PLAIN

SETTINGS = config(
    extensions=(*STANDARD, STARTTLS, AUTH, ETRN, xclient(lambda peer: True), xforward(lambda peer: True)),
    mechanisms=(PLAIN,),
    cleartext_auth=True,
    verify=True,
    early_input=EarlyInput.REPORT,
)
WORDS = {
    "EHLO": "client.example", "HELO": "client.example", "LHLO": "client.example", "MAIL": "FROM:<>",
    "RCPT": "TO:<b@example.org>", "BDAT": "1", "VRFY": "b", "EXPN": "b", "AUTH": "PLAIN", "ETRN": "example.org",
    "XCLIENT": "ADDR=192.0.2.2", "XFORWARD": "ADDR=192.0.2.2",
}  # fmt: skip
WAY = {Phase.HELLO: 0, Phase.READY: 1, Phase.MAIL: 2, Phase.RCPT: 3, Phase.BDAT: 4}


def edges(dialect: Dialect) -> list[tuple[Dialect, Phase, Edge]]:
    found = SETTINGS.plan(dialect).edges
    return [(dialect, source, edge) for edge in found if edge.is_verb for source in edge.sources]


def at(phase: Phase, dialect: Dialect) -> Driver:
    driver = Driver(SETTINGS, dialect=dialect)
    for step in (dialect.hello[0], "MAIL", "RCPT", "BDAT")[: WAY[phase]]:
        driver.say(line(step) if step != "BDAT" else "BDAT 0")
    assert driver.conn.phase is phase
    return driver


def line(verb: str) -> str:
    return f"{verb} {WORDS[verb]}" if verb in WORDS else verb


def named(parameter: object) -> str:
    return str(getattr(parameter, "input", getattr(parameter, "name", parameter)))


@pytest.mark.parametrize(("dialect", "source", "edge"), edges(LMTP), ids=named)
def test_what_ends_a_group_in_lmtp(dialect: Dialect, source: Phase, edge: Edge) -> None:
    """RFC 2033 4.2 puts LHLO in the place of EHLO; all else is as in RFC 2920."""
    driver = at(source, dialect)
    driver.say(line(edge.input), "QUIT")
    early = Deviation("early input") in driver.events
    assert early == (edge.input in {"LHLO", "DATA", "STARTTLS", "AUTH", "XCLIENT"})


@pytest.mark.parametrize("demand", ["tls_required", "auth_required"])
def test_no_gate_before_lhlo(demand: str) -> None:
    """RFC 3207 4 and RFC 4954 6 let a client greet, and the LHLO of LMTP is its greeting."""
    driver = Driver(config(extensions=(*STANDARD, STARTTLS, AUTH), mechanisms=(PLAIN,), **{demand: True}), dialect=LMTP)
    assert driver.say("LHLO client.example").startswith(b"250")
    assert driver.conn.phase is Phase.READY
    assert not driver.seen(Refused)


@pytest.mark.parametrize("dialect", [SMTP, LMTP], ids=named)
def test_nothing_leads_where_a_refusal_would_if_nobody_can_refuse(dialect: Dialect) -> None:
    asked: set[str] = set()

    def refuse(conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, QUESTIONS):
            asked.add(edge.input)
            conn.reject(event, Reply(550, "No"))

    for _, source, edge in edges(dialect):
        driver = at(source, dialect)
        driver.answer = refuse
        driver.say(line(edge.input), *([""] if edge.input in ("BDAT", "AUTH") else []))
    silent = {edge.input for _, _, edge in edges(dialect)} - asked
    assert silent == {"RSET", "NOOP", "HELP", "QUIT", "AUTH"}
    assert [edge for _, _, edge in edges(dialect) if edge.input in silent and edge.no is not None] == []


@pytest.mark.parametrize("last", ["", " LAST"])
def test_after_a_chunk_that_was_refused_on_the_way(last: str) -> None:
    """RFC 3030 2: the transaction has failed, and a new one may begin at once."""
    driver = at(Phase.RCPT, SMTP)
    assert driver.feed(f"BDAT 2{last}\r\n\na".encode()).startswith(b"554 ")
    assert driver.conn.phase is Phase.READY
    assert driver.codes("AUTH LOGIN", "MAIL FROM:<>") == ["504 5.5.4", "250 2.1.0"]
