"""The same octets, cut anywhere, come to the same events, the same output and the same end.

Whole sessions are tried: legal commands and others, bodies with all that may go wrong in them, exchanges of AUTH, and
limits so small that they are hit. What the application says to a question depends on the question alone.

Two rules depend on time by their nature, and so on how octets come: whether input is early (here that is reported, and
the reports are left out), and what was sent behind a DATA that is refused, or behind STARTTLS. So there is always a
cut behind those two.
"""

import re
import zlib
from collections.abc import Sequence
from typing import Any

from _dialogue import ACCEPTABLE, QUESTIONS, Driver, accept_all, config, joined
from hypothesis import HealthCheck, example, given, settings, strategies as st

from smtpcore import (
    LMTP,
    SMTP,
    SUBMISSION,
    Connected,
    Dialect,
    EarlyInput,
    Hello,
    Limits,
    Quirk,
    Reply,
    SecretWanted,
    ServerConfig,
    ServerConnection,
    ServerEvent,
    StoredKey,
    Stray,
    Wait,
)
from smtpcore.extensions import AUTH, BINARYMIME, DSN, ETRN, LIMITS, STANDARD, STARTTLS, xclient, xforward
from smtpcore.sasl import LOGIN, PLAIN, CramMd5

MECHANISMS = (PLAIN, LOGIN, CramMd5(nonce=lambda: "1896.697170952"))
EXTENSIONS = (
    *STANDARD,
    STARTTLS,
    AUTH,
    DSN,
    BINARYMIME,
    LIMITS,
    ETRN,
    xclient(lambda peer: True),
    xforward(lambda peer: True),
)
NO = (Reply(550, "No", "5.7.1"), Reply(450, "Not now", "4.2.0"), Reply(421, "Go away", "4.7.0"))

# --- what is sent -----------------------------------------------------------------------------------

HELLO = [
    b"EHLO client.example",
    b"HELO client.example",
    b"LHLO client.example",
    b"ehlo [192.0.2.1]",
    b"EHLO",
    b"EHLO a_b",
]
MAIL = [
    b"MAIL FROM:<>", b"MAIL FROM:<a@b.example>", b"mail from:<a@b.example> SIZE=10 BODY=8BITMIME",
    b"MAIL FROM: <a@b.example>",
    b"MAIL FROM:a@b.example", b"MAIL FROM:<> SIZE=999999", b"MAIL FROM:<> BODY=BINARYMIME",
    b"MAIL FROM:<\xc3\xbc@b.example> SMTPUTF8",
    b"MAIL FROM:<\xc3\x28@b.example> SMTPUTF8", b"MAIL FROM:<> X=1", b"MAIL", b"MAIL FROM:<> RET=HDRS ENVID=1",
]  # fmt: skip
RCPT = [
    b"RCPT TO:<a@example.org>", b"RCPT TO:<b@example.org>", b"RCPT TO:<Postmaster>", b"RCPT TO:<>",
    b"RCPT TO: <c@example.org>",
    b'RCPT TO:<"a b"@[192.0.2.1]>', b"RCPT TO:<\xc3\xbc@example.org>", b"RCPT TO:<d@example.org> NOTIFY=NEVER",
    b"RCPT TO:<e",
]  # fmt: skip
OTHER = [
    b"RSET", b"NOOP", b"NOOP x", b"NOOP \t", b"noop\t", b"HELP", b"HELP DATA", b"VRFY a", b"VRFY \xc3\xbc SMTPUTF8",
    b"EXPN l", b"RSET x",
    b"FOO", b"", b" ", b"\x00", b"\xff", b"NOOP \x7f", b"STARTTLS", b"STARTTLS now", b"ETRN example.org",
    b"XCLIENT ADDR=192.0.2.9", b"XFORWARD ADDR=192.0.2.9", b"AUTH", b"AUTH NTLM", b"octets", b"final dot", b"TURN",
]  # fmt: skip
LAST_WORDS = [b"QUIT", b"\x16\x03\x01", b"GET / HTTP/1.1"]
AUTH_LINES = [
    b"AUTH PLAIN AGEAYg==", b"AUTH PLAIN", b"AUTH LOGIN", b"auth login YQ==", b"AUTH CRAM-MD5", b"AGEAYg==", b"YQ==",
    b"*", b"=", b"!!!",
    b"AUTH PLAIN =", b"AUTH PLAIN *", b"AUTH LOGIN\r\nYQ==\r\nYg==",
    b"AUTH CRAM-MD5\r\nYSA3NGU2ODUxZjU1YjE5ZjI1NGE1MjQ3ZjE2NzQ5ZjQ5Zg==",
    b"YSA3NGU2ODUxZjU1YjE5ZjI1NGE1MjQ3ZjE2NzQ5ZjQ5Zg==",
]  # fmt: skip
LINE_END = st.sampled_from([b"\r\n"] * 30 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b""])

# So long that they lie about the limits below.
LONG = st.tuples(
    st.sampled_from([b"NOOP ", b"AUTH PLAIN ", b"BDAT 3 ", b"\x16", b"", b"RCPT TO:<", b"DATA "]),
    st.integers(50, 260),
    st.sampled_from([b"x", b"A", b" ", b"\r", b"\x16", b"\xc3\xbc"]),
).map(lambda parts: parts[0] + parts[2] * parts[1])

command = st.tuples(
    st.one_of(*(st.sampled_from(lines) for lines in (HELLO, MAIL, RCPT, RCPT, OTHER, AUTH_LINES)), LONG), LINE_END
).map(b"".join)

PIECES = [
    b"x",
    b"line\r\n",
    b".",
    b"\r\n",
    b"\r\n.",
    b"\r\n..",
    b"\r",
    b"\n",
    b"\0",
    b"\r\n.\r",
    b"\n.\n",
    b"\r.\r",
    b"\xe9" * 9,
    b"0123456789" * 5,
]
content = st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)
data = content.map(lambda octets: b"DATA\r\n" + octets + b"\r\n.\r\n")


def _chunk(parts: tuple[bytes, int, bytes]) -> bytes:
    octets, surplus, last = parts
    return b"BDAT %d%b\r\n" % (max(0, len(octets) + surplus), last) + octets


chunk = st.tuples(
    content, st.sampled_from([0] * 8 + [1, -1, 30]), st.sampled_from([b"", b"", b" LAST", b" last", b" X"])
).map(_chunk)
# What a well-behaved client says, so that most things are reached often.
opening = st.sampled_from(
    [
        b"RSET\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<a@example.org>\r\n",
        b"MAIL FROM:<>\r\nRCPT TO:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n",
        b"MAIL FROM:<f@b.example>\r\nRCPT TO:<c@example.org>\r\nRCPT TO:<d@example.org>\r\n",
        b"RSET\r\nMAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<a@example.org>\r\n",
    ]
)
message = st.tuples(opening, st.one_of(data, st.lists(chunk, min_size=1, max_size=4).map(b"".join))).map(b"".join)
last_words = st.tuples(st.sampled_from([*LAST_WORDS, b""]), LINE_END).map(b"".join)
between = st.sampled_from(
    [
        b"ETRN example.org\r\n",
        b"XFORWARD ADDR=192.0.2.9\r\n",
        b"XCLIENT ADDR=192.0.2.9\r\nEHLO client.example\r\n",
        b"MAIL FROM:<> SIZE=99999999999\r\n",
        b"MAIL FROM:<> X=1\r\n",
        b"MAIL FROM:<\xc3\xbc@b.example> SMTPUTF8\r\nRCPT TO:<\xc3\xbc@b.example>\r\n",
        b"MAIL FROM:<g@b.example>\r\nRSET\r\n",
        b"AUTH NTLM\r\n",
        b"AUTH CRAM-MD5\r\nYSA3NGU2ODUxZjU1YjE5ZjI1NGE1MjQ3ZjE2NzQ5ZjQ5Zg==\r\n",
        b"EXPN l\r\nHELP\r\nVRFY \xc3\xbc SMTPUTF8\r\n",
    ]
)
turns = st.lists(st.one_of(message, message, between, command, command, data, chunk), min_size=1, max_size=12).map(
    b"".join
)
FIRST_WORDS = [
    b"",
    b"",
    b"AUTH PLAIN AGEAYg==\r\n",
    b"AUTH LOGIN\r\nYQ==\r\nYg==\r\n",
    b"STARTTLS\r\n",
    b"VRFY a\r\nNOOP\r\n",
]


@st.composite
def dialogues(draw: st.DrawFn, dialect: Dialect) -> bytes:
    greeting = draw(
        st.sampled_from([f"{dialect.hello[0]} client.example\r\n".encode()] * 9 + [b"HELO client.example\r\n"])
    )
    first = draw(st.sampled_from(FIRST_WORDS))
    again = greeting if first == b"STARTTLS\r\n" else b""
    return greeting + first + again + draw(turns) + draw(last_words)


# --- how it is received -------------------------------------------------------------------------------


def tiny(**numbers: int) -> Limits:
    """Limits that no server could work with, so that a short session hits them."""
    limits = Limits()
    for name, number in numbers.items():
        object.__setattr__(limits, name, number)
    return limits


LIMITS_TO_HIT = st.sampled_from(
    [
        *[tiny(errors=100, unknown_before_hello=100)] * 4,
        tiny(command_octets=100, auth_octets=150, swallowed_octets=200, errors=100),
        tiny(command_octets=60, auth_octets=60, swallowed_octets=10_000, message_octets=40, discard_octets=10_000),
        tiny(message_octets=12, discard_octets=30, chunks=2, errors=100, unknown_before_hello=100),
        tiny(recipients=1, transactions=2, junk_commands=2, auth_attempts=1, errors=2),
        tiny(output_octets=30, buffered_octets=40, errors=100, junk_commands=1000, unknown_before_hello=100),
    ]
)


@st.composite
def configs(draw: st.DrawFn) -> tuple[ServerConfig, Dialect]:
    dialect = draw(st.sampled_from([SMTP, SUBMISSION, LMTP]))
    drawn = config(
        extensions=EXTENSIONS,
        mechanisms=MECHANISMS,
        cleartext_auth=draw(st.booleans()),
        tls_required=draw(st.sampled_from([False, False, False, True])),
        auth_required=draw(st.sampled_from([False, False, None])),
        verify=draw(st.booleans()),
        stray=draw(st.sampled_from(Stray)),
        early_input=EarlyInput.REPORT,
        quirks=draw(st.frozensets(st.sampled_from(Quirk))),
        limits=draw(LIMITS_TO_HIT),
    )
    return drawn, dialect


class Whims:
    """An application that decides by what it is asked, and by nothing else."""

    def __init__(self, salt: int) -> None:
        self.salt = salt

    def draw(self, event: object, most: int) -> int:
        return zlib.crc32(repr((self.salt, event)).encode()) % most

    def __call__(self, conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, SecretWanted):
            conn.provide(event, [None, StoredKey()][self.draw(event, 2)])
        elif isinstance(event, ACCEPTABLE) and self.draw(event, 100) < (
            99 if isinstance(event, Connected | Hello) else 88
        ):
            accept_all(conn, event)
        elif isinstance(event, QUESTIONS):
            conn.reject(event, NO[min(self.draw(("how", event), 20) // 9, 2)])


_wait_for_the_reply = re.compile(rb"(?i)(?:data|starttls)[^\n]*\n")


def hold(octets: bytes, cuts: Sequence[int], settings: ServerConfig, dialect: Dialect, salt: int) -> tuple[Any, ...]:
    """Send *octets* with a read ending at each of *cuts*: what came of it."""
    whims = Whims(salt)
    driver = Driver(settings, dialect=dialect, answer=whims)
    borders = {*cuts, len(octets), *(match.end() for match in _wait_for_the_reply.finditer(octets))}
    start = 0
    for end in sorted(borders - {0}):
        if driver.wait is Wait.TLS:
            if whims.draw("handshake", 10) < 9:
                driver.handshake()
            else:
                driver.conn.tls_failed()
                driver.pump()
        driver.feed(octets[start:end])
        start = end
    if driver.wait is not Wait.CLOSED:
        driver.eof()
    assert driver.wait is Wait.CLOSED
    conn = driver.conn
    return joined(driver.events), driver.out, conn.phase, conn.tls, conn.identity, conn.hello


Session = tuple[bytes, list[int], ServerConfig, Dialect, int]


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    """Octets, cuts, a config and dialect, and the salt of the application's whims."""
    settings, dialect = draw(configs())
    octets = draw(dialogues(dialect))
    cuts = draw(st.lists(st.integers(0, len(octets)), max_size=12))
    return octets, cuts, settings, dialect, draw(st.integers(0, 1000))


DEFAULT = config(extensions=EXTENSIONS, mechanisms=MECHANISMS, early_input=EarlyInput.REPORT)
SHORT = config(
    extensions=EXTENSIONS,
    mechanisms=MECHANISMS,
    early_input=EarlyInput.REPORT,
    limits=tiny(command_octets=100, errors=50, unknown_before_hello=50),
)


@settings(max_examples=settings().max_examples * 2)
@given(session=sessions())
@example(session=(b"x" * 150 + b"\x16" * 9 + b"\r\nNOOP\r\n", [150], SHORT, SMTP, 0))
@example(session=(b"BDAT 2" + b" " * 150 + b"LAST\r\n\r\nNOOP\r\n", [150], SHORT, SMTP, 0))
@example(session=(b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n.\r\n", [1], DEFAULT, SMTP, 3))
def test_any_cut(session: Session) -> None:
    octets, cuts, *how = session
    whole = hold(octets, [], *how)
    assert hold(octets, cuts, *how) == whole
    assert hold(octets, range(len(octets)), *how) == whole


def test_the_sessions_are_not_all_alike() -> None:
    # The law above says nothing if all that was tried is refused at the door.
    seen: set[str] = set()
    codes: set[bytes] = set()

    @settings(max_examples=300, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(session=sessions())
    def collect(session: Session) -> None:
        octets, _, *how = session
        events, out, *_ = hold(octets, [], *how)
        seen.update(type(event).__name__ for event in events)
        codes.update(line[:3] for line in out.split(b"\r\n"))

    collect()
    assert seen >= {
        "BodyAborted",
        "BodyChunk",
        "BodyEnd",
        "Reset",
        "Authenticated",
        "Refused",
        "Quit",
        "StartTls",
        "Verify",
    }
    assert codes >= {b"220", b"221", b"235", b"250", b"252", b"354", b"421", b"500", b"501", b"503", b"530", b"538"}
