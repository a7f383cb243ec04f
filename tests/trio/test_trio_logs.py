"""Lines of real sessions, by structlog."""

import io
import json
import re
import ssl
from collections import Counter
from typing import Any

import attrs
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from observe_play import (
    AUTH_CONFIG,
    MIX_CONFIG,
    Choosy,
    base64,
    mixes,
    observed,
    run_mix,
    shown,
    tell_secrets,
)
from trio_play import MESSAGE, deliver

from smtpcore import (
    LMTP,
    Abort,
    Authenticated,
    AuthFailed,
    BodyAborted,
    BodyBegin,
    Cause,
    Closed,
    Connected,
    Deviation,
    Envelope,
    Extended,
    Hello,
    Identity,
    MailFrom,
    Peer,
    Quirk,
    RcptTo,
    Recipient,
    Refused,
    Reply,
    ServerConfig,
    StartTls,
    TlsInfo,
    Verify,
    XClient,
)
from smtpcore.extensions import STANDARD, STARTTLS
from smtpcore_trio import TlsContext
from smtpcore_trio.logs import Logs
from smtpcore_trio.observe import Denied, Secured, SessionFacts, Settled

PEER = Peer("192.0.2.1", 25)
FACTS = SessionFacts("id", PEER, "mx")


class Lines:
    """A logger of structlog's, and the lines that it has written."""

    def __init__(self, renderer: Any = None) -> None:
        self.file = io.StringIO()
        self.logs = Logs(
            structlog.wrap_logger(
                structlog.PrintLogger(self.file),
                processors=[structlog.processors.add_log_level, renderer or structlog.processors.JSONRenderer()],
                wrapper_class=structlog.make_filtering_bound_logger(0),
            )
        )

    @property
    def text(self) -> str:
        return self.file.getvalue()

    def read(self, *events: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if not events or line["event"] in events]

    def events(self) -> list[str]:
        return [line["event"] for line in self.read()]


async def test_lines_of_a_session() -> None:
    lines = Lines()
    async with observed(lines.logs, port="submission") as server:
        async with await server.client() as client:
            assert (await deliver(client)).startswith("250")
            await client.ask("QUIT")
            await client.rest()
        await server.empty()
    opened, message, closed = lines.read()
    session = opened["session"]
    about = {"session": session, "peer": "127.0.0.1", "port": "submission", "level": "info"}
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]+", session)
    assert opened == about | {"event": "session opened", "tls": False}
    assert message == about | {
        "event": "message", "octets": len(MESSAGE), "taken": 1, "replies": ["250 2.0.0 Stored"],
        "sender": "a@example.org", "recipients": 1, "to": ["b@example.org"],
        "helo": "client.example",
    }  # fmt: skip
    assert closed == about | {"event": "session closed", "cause": "quit", "detail": ""}
    assert lines.logs._bound == lines.logs._known == {}


async def test_refusals_and_limits() -> None:
    lines = Lines()
    async with observed(lines.logs) as server, await server.client() as client:
        await client.greet()
        await client.ask("FROBNICATE", b"NOOP " + b"x" * 3000, "MAIL FROM:<early@example.org>")
        await client.ask("RCPT TO:<nobody@example.org>", "RCPT TO:<b@example.org>", "DATA")
    shown = [(line["event"], line.get("command"), line.get("reply")) for line in lines.read("refused", "limit")]
    assert shown == [
        ("refused", "FROBNICATE", "500 5.5.1 Command not recognized"),
        ("refused", "", "500 5.5.6 Line too long"),
        ("limit", None, None),
        ("refused", "RCPT TO:<nobody@example.org>", "550 5.1.1 No such user here"),
        ("refused", "DATA", "554 5.7.1 Not by you"),
    ]
    (limit,) = lines.read("limit")
    assert limit["limit"] == "command_octets"
    assert limit["level"] == "warning"
    assert limit["session"]


async def test_authentication_and_tls(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    config = attrs.evolve(AUTH_CONFIG, extensions=(*AUTH_CONFIG.extensions, STARTTLS))
    lines = Lines()
    async with (
        observed(lines.logs, config, tls_context=tls_context) as server,
        await server.client() as client,
    ):
        await client.greet()
        await client.ask("STARTTLS")
        await client.start_tls(client_tls)
        await client.ask("EHLO c.example", "AUTH PLAIN " + base64("\0tim\0wrong"), "AUTH PLAIN", "*")
        await client.ask("AUTH PLAIN " + base64("\0tim\0correct horse battery"))
    (tls,) = lines.read("tls")
    assert tls["version"].startswith("TLS")
    failed = lines.read("authentication failed")
    assert [(line["mechanism"], line["username"]) for line in failed] == [("PLAIN", "tim"), ("PLAIN", None)]
    (authenticated,) = lines.read("authenticated")
    assert (authenticated["mechanism"], authenticated["username"]) == ("PLAIN", "tim")


async def test_verdicts_of_lmtp_and_many_recipients() -> None:
    class Divided(Choosy):
        async def data(self, body: Any) -> Any:
            async for _octets in body:
                pass
            return [Reply(250, "Yes")] + [Reply(550, "No")] * 11

    lines = Lines()
    config = ServerConfig(hostname="mx.example.org", extensions=STANDARD)
    async with observed(lines.logs, config, Divided, dialect=LMTP) as server, await server.client() as client:
        await client.reply()
        await client.ask("LHLO c.example", "MAIL FROM:<>", *[f"RCPT TO:<{n}@example.org>" for n in range(12)], "DATA")
        await client.ask(MESSAGE + b".")
    (message,) = lines.read("message")
    assert (message["taken"], message["recipients"], message["sender"]) == (1, 12, "")
    assert len(message["to"]) == len(message["replies"]) == 10


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (BodyAborted(Abort.LOST), {"event": "message aborted", "reason": "lost"}),
        (Deviation("early input"), {"event": "deviation", "what": "early input"}),
        (Deviation(Quirk.BARE_LF), {"event": "deviation", "what": "bare_lf"}),
        (Settled(None, 5, (Reply(250),)), {"event": "message", "octets": 5, "taken": 1, "replies": ["250 "]}),
        (Connected(PEER), None),
    ],
)
def test_events(event: Any, line: dict[str, Any] | None) -> None:
    lines = Lines()
    lines.logs.event(FACTS, event)
    about = {"session": "id", "peer": "192.0.2.1", "port": "mx", "level": "info"}
    assert lines.read() == ([] if line is None else [about | line])


@pytest.mark.parametrize(
    ("question", "command"),
    [
        (Connected(PEER), "CONNECTED"),
        (Hello("EHLO", "c.example"), "EHLO"),
        (StartTls(), "STARTTLS"),
        (BodyBegin("BDAT"), "BDAT"),
        (Verify("VRFY", "x"), "VRFY"),
        (Extended("ETRN", "x"), "ETRN"),
        (XClient({}), "XCLIENT"),
    ],
)
def test_commands(question: Any, command: str) -> None:
    lines = Lines()
    lines.logs.event(FACTS, Denied(question, Reply(550, "No")))
    assert [line["command"] for line in lines.read()] == [command]


def test_limit_before_there_is_a_session() -> None:
    lines = Lines()
    lines.logs.refused("connections", PEER)
    lines.logs.refused("rate", Peer(None))
    lines.logs.gauge("connections", 3)
    assert lines.read() == [
        {"event": "limit", "level": "warning", "limit": "connections", "peer": "192.0.2.1"},
        {"event": "limit", "level": "warning", "limit": "rate", "peer": "local"},
    ]


def test_session_that_was_cut() -> None:
    lines = Lines()
    lines.logs.closed(FACTS, None)
    assert [line["cause"] for line in lines.read()] == ["cut"]


async def test_no_secret_is_logged() -> None:
    lines = Lines()
    async with observed(lines.logs) as server:
        await tell_secrets(server.client)
        await server.empty()
    assert len(lines.read()) > 20
    assert shown(lines.text) == []


# --- what a client would like to write there ------------------------------------------------------

EVIL = 'x\r\n{"event": "message"}\x1b[2J\x00\x7f\x9b\u202e\u2066\u2028\u0085\ufeff' + "y" * 1000
RENDERERS = [
    structlog.processors.JSONRenderer(),
    structlog.processors.JSONRenderer(ensure_ascii=False),
    structlog.processors.KeyValueRenderer(),
    structlog.processors.LogfmtRenderer(bool_as_flag=False),
    structlog.dev.ConsoleRenderer(colors=False),
]
EVIL_REPLY = Reply(550, EVIL)


@attrs.frozen
class Path:
    """A path that says anything, as no parser lets one."""

    def __str__(self) -> str:
        return EVIL


ANYWHERE: Any = Path()


@pytest.mark.catalogue("J1")
@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(
    "event",
    [
        Settled(Envelope(ANYWHERE, (Recipient(ANYWHERE),)), 1, (EVIL_REPLY,)),
        Denied(MailFrom(ANYWHERE), EVIL_REPLY),
        Denied(RcptTo(ANYWHERE), EVIL_REPLY),
        Denied(Extended(EVIL, EVIL), EVIL_REPLY),
        Refused(EVIL.encode(), EVIL_REPLY),
        Refused(bytes(range(256)), EVIL_REPLY),
        AuthFailed(EVIL, EVIL, EVIL_REPLY),
        Authenticated(EVIL, Identity(EVIL, EVIL)),
        Secured(TlsInfo(EVIL, EVIL, EVIL)),
        Closed(Cause.LIMIT, EVIL),
    ],
    ids=lambda each: type(each).__name__,
)
def test_nobody_forges_lines(event: Any, renderer: Any) -> None:
    lines = Lines(renderer)
    facts = SessionFacts("id", Peer(EVIL), EVIL)
    if isinstance(event, Closed):
        lines.logs.closed(facts, event)
    else:
        lines.logs.event(facts, event)
    assert lines.text.endswith("\n")
    (line,) = lines.text[:-1].split("\n")
    assert lines.text.splitlines() == [line]
    assert line.isprintable()
    assert "y" * 300 not in line


async def test_nobody_forges_lines_over_a_socket() -> None:
    lines = Lines()
    async with observed(lines.logs) as server, await server.client() as client:
        await client.greet()
        await client.ask(b"\x1b[31mFORGED \x08\x7f", "FORGED \u202e\u2066".encode(), b'MAIL FROM:<a"\x00@b>')
        await client.ask("AUTH LOGIN", base64("tim\x1b[31m\u202e\r\n{}"), base64("x"))
        await client.ask("AUTH PLAIN " + base64("\0tim\u202e\0x"))
        await client.ask('MAIL FROM:<"\\\x1b"@example.org>', "MAIL FROM:<a\u202e@example.org> SMTPUTF8")
    assert all(line.isprintable() for line in lines.text.splitlines())
    assert lines.text.count("\n") == len(lines.read()) >= 7


# --- all of them -----------------------------------------------------------------------------------


@given(mix=mixes())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_lines_add_up(mix: list[tuple[list[str], str]]) -> None:
    lines = Lines()
    async with observed(lines.logs, MIX_CONFIG) as server:
        tally = await run_mix(server, mix)
    count = Counter(lines.events())
    assert count["session opened"] == count["session closed"] == tally.sessions
    assert Counter(line["cause"] for line in lines.read("session closed")) == tally.causes
    assert Counter(line["limit"] for line in lines.read("limit")) == tally.limits
    assert count["authenticated"] == tally.authenticated
    assert count["authentication failed"] == tally.failed
    assert sum(line["taken"] for line in lines.read("message")) == tally.messages
    # Every no that a client has heard is in one line, and in no other.
    noes = tally.replies["4xx"] + tally.replies["5xx"]
    settled = sum(not line["taken"] for line in lines.read("message"))
    assert count["refused"] + settled + tally.failed + tally.causes["limit"] == noes
    sessions = [line["session"] for line in lines.read("session opened")]
    assert len(set(sessions)) == tally.sessions
    assert {line["session"] for line in lines.read()} == set(sessions)
