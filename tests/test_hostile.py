"""What hostile and broken clients send, row by row of the catalogue; and that no row of the server's is forgotten."""

import ast
import base64
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from _dialogue import TLS, Driver, accept_all, codes, config, joined
from hypothesis import given, strategies as st
from linearity import assert_linear

from smtpcore import (
    LMTP,
    NULL_PATH,
    Abort,
    AuthFailed,
    BodyAborted,
    BodyBegin,
    BodyEnd,
    Cause,
    Closed,
    EarlyInput,
    Hello,
    Limits,
    Mailbox,
    MailFrom,
    PasswordCheck,
    Phase,
    Quirk,
    RcptTo,
    Refused,
    Reply,
    ServerConnection,
    ServerEvent,
    Stray,
    Wait,
    safe,
)
from smtpcore.extensions import AUTH, DSN, SIZE, SMTPUTF8, STANDARD, STARTTLS
from smtpcore.sasl import LOGIN, PLAIN

CUTS = pytest.mark.parametrize("cut", [None, 1], ids=["whole", "octets"])
END = b"\r\n.\r\n"
STRAY = b"554 5.6.0 Message holds a bare CR, a bare LF or a NUL\r\n"
ACCEPTED = b"250 2.0.0 Message accepted\r\n"


def ready(**changes: Any) -> Driver:
    driver = Driver(config(**changes))
    driver.say("EHLO client.example")
    return driver


def opened(**changes: Any) -> Driver:
    driver = ready(**changes)
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    return driver


def in_data(**changes: Any) -> Driver:
    driver = opened(**changes)
    driver.say("DATA")
    assert driver.conn.phase is Phase.BODY
    return driver


def authenticating(**changes: Any) -> Driver:
    settings = config(extensions=(*STANDARD, AUTH), mechanisms=(PLAIN, LOGIN), **changes)
    driver = Driver(settings, tls=TLS)
    driver.say("EHLO client.example")
    return driver


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


# --- A: framing and smuggling -----------------------------------------------------------------------

SMUGGLED = b"MAIL FROM:<x@y.example>\r\nRCPT TO:<z@example.org>\r\nDATA\r\nspam"
FALSE_ENDS = [
    pytest.param(octets, id=f"{row} {octets!r}")
    for row, triggers in {
        "A1": [b"x\n.\n", b"\n.\r\n", b"\r\n.\n"],
        "A2": [b"\r\n.\r\r\n", b"\r\r\n.\r\r\n"],
        "A3": [b"\r.\r", b"\r.\n", b"\n.\r", b"\r\n.\r"],
        "A4": [b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\0\n"],
    }.items()
    for octets in triggers
]
HARMLESS = [
    pytest.param(octets, id=repr(octets))
    for octets in (
        b"\x0b.\x0b", b"\x0c.\x0c", b"\xc2\x85.\xc2\x85", b"\xe2\x80\xa8.\xe2\x80\xa8", b"\xe2\x80\xa9.\xe2\x80\xa9",
        b"\x1c.\x1c", b"\x8d\x8a.\x8d\x8a", "\u760d\u760a.\u760d\u760a".encode(), "\u010d\u010a.".encode("utf-16-be"),
    )
]  # fmt: skip


@pytest.mark.catalogue("A1", "A2", "A3", "A4")
@CUTS
@pytest.mark.parametrize("octets", FALSE_ENDS)
def test_only_one_thing_ends_a_message(octets: bytes, cut: int | None) -> None:
    driver = in_data()
    out = driver.feed(b"text" + octets + SMUGGLED, cut)
    assert out == b""
    assert driver.conn.phase is Phase.BODY
    assert driver.feed(END + b"NOOP\r\n", cut) == STRAY + b"250 2.0.0 Ok\r\n"
    assert driver.seen(BodyAborted) == [BodyAborted(Abort.STRAY_OCTETS)]
    assert len(driver.seen(MailFrom)) == 1


@pytest.mark.catalogue("A1", "A2", "A3", "A4")
@CUTS
@pytest.mark.parametrize("octets", FALSE_ENDS)
def test_what_is_kept_is_kept_as_it_was(octets: bytes, cut: int | None) -> None:
    driver = in_data(stray=Stray.KEEP)
    assert driver.feed(b"text" + octets + SMUGGLED, cut) == b""
    assert driver.feed(END, cut) == ACCEPTED
    assert driver.body == b"text" + octets.replace(b"\r\n.", b"\r\n") + SMUGGLED + b"\r\n"


@pytest.mark.catalogue("A5")
@CUTS
@pytest.mark.parametrize("octets", [b".\n", b"\n.\r\n", b".\r", b"\r.\r\n", b"\0.\r\n", b".\r\r\n", b"\n.\n"])
def test_first_octets_of_a_message(octets: bytes, cut: int | None) -> None:
    driver = in_data()
    assert driver.feed(octets + SMUGGLED, cut) == b""
    assert driver.feed(END, cut) == STRAY
    driver = in_data()
    assert driver.feed(b".\r\n", cut) == ACCEPTED
    assert driver.seen(BodyEnd) == [BodyEnd(0)]


@pytest.mark.catalogue("A6", "A7")
@CUTS
@pytest.mark.parametrize("octets", HARMLESS)
def test_only_cr_and_lf_end_lines(octets: bytes, cut: int | None) -> None:
    driver = in_data()
    if b"\0" in octets or re.search(rb"(?<!\r)\n|\r(?!\n)", octets):
        octets = octets.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
    assert driver.feed(b"text" + octets + SMUGGLED, cut) == b""
    assert driver.feed(END, cut) == ACCEPTED
    assert driver.body == b"text" + octets + SMUGGLED + b"\r\n"


@pytest.mark.catalogue("A6", "A7")
@pytest.mark.parametrize("octets", [b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8", b"\x8d\x8a", b"\n", b"\r"])
def test_only_crlf_ends_a_command(octets: bytes) -> None:
    driver = ready()
    assert driver.feed(b"NOOP" + octets + b"RSET" + octets) == b""
    (code,) = codes(driver.feed(b"\r\n"))
    assert code[:3] == "500"
    assert len(driver.seen(Refused)) == 1


@pytest.mark.catalogue("A8")
@CUTS
def test_a_refused_message_is_no_command(cut: int | None) -> None:
    driver = in_data()
    assert driver.feed(b"\n.\nNOOP\r\n", cut) == b""
    assert driver.feed(b"QUIT\r\n", cut) == b""
    assert driver.feed(b".\r\n", cut) == STRAY
    assert driver.wait is Wait.DATA


@pytest.mark.catalogue("A9")
@pytest.mark.parametrize("border", [4_096, 65_536])
def test_an_end_cut_in_two(border: int) -> None:
    outcomes = []
    for before in range(border - 6, border + 2):
        driver = in_data()
        octets = b"x" * before + END + b"NOOP\r\n"
        out = driver.feed(octets, border)
        outcomes.append((out, len(driver.body) - before, joined(driver.events)[-1:]))
    assert len({out for out, _, _ in outcomes}) == 1
    assert {surplus for _, surplus, _ in outcomes} == {2}


@pytest.mark.catalogue("A9")
def test_an_end_octet_by_octet() -> None:
    driver = in_data()
    out = driver.feed(b"..dots\r\n.\r\r\n..\r\n.x\r\n.\r\n", 1)
    assert out == STRAY
    driver = in_data(stray=Stray.KEEP)
    driver.feed(b"..dots\r\n.\r\r\n..\r\n.x\r\n.\r\n", 1)
    assert driver.body == b".dots\r\n\r\r\n.\r\nx\r\n"


@pytest.mark.catalogue("A10", "C8")
@pytest.mark.parametrize("octets", [b"", b"text", b"text\r\n", b"\r\n.\n", b"text\r\n.", b"text\r\n.\r"])
def test_the_end_of_the_stream_completes_no_message(octets: bytes) -> None:
    driver = in_data(stray=Stray.KEEP)
    driver.feed(octets)
    driver.eof()
    assert not driver.seen(BodyEnd)
    assert driver.events[-2:] == [BodyAborted(Abort.LOST), Closed(Cause.EOF)]


@pytest.mark.catalogue("A10")
@pytest.mark.parametrize("octets", [b"MAIL FROM:<a@b>", b"MAIL FROM:<a@b>\r", b"MAIL FROM:<a@b>\n"])
def test_the_end_of_the_stream_completes_no_command(octets: bytes) -> None:
    driver = ready()
    driver.feed(octets)
    driver.eof()
    assert not driver.seen(MailFrom)
    assert driver.events[-1] == Closed(Cause.EOF)


@pytest.mark.catalogue("A11")
@pytest.mark.parametrize("octets", FALSE_ENDS)
def test_a_second_parser_reads_what_the_first_one_did(octets: bytes) -> None:
    # What came out is stuffed and sent on, as a relay does; the next server must see the same message.
    first = in_data(stray=Stray.NORMALISE)
    first.feed(b"text" + octets + SMUGGLED + END)
    if b"\0" in octets:
        assert not first.seen(BodyEnd)
        return
    (end,) = first.seen(BodyEnd)
    content = first.body
    assert len(content) == end.octets
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", content)
    second = in_data()
    stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    assert second.feed(stuffed + b".\r\n") == ACCEPTED
    assert second.body == content


@pytest.mark.catalogue("A13")
@pytest.mark.parametrize("octets", [b"NOOP\n", b"NOOP\rRSET\r\n", b"NOOP\nRSET\r\n", b"NOOP\r\r\n", b"\nNOOP\r\n"])
def test_commands_end_with_crlf(octets: bytes) -> None:
    driver = ready()
    out = driver.feed(octets)
    if not octets.endswith(b"\r\n"):
        assert out == b""
        out = driver.feed(b"\r\n")
    assert codes(out) == ["500 5.5.2"]
    assert len(driver.seen(Refused)) == 1


@pytest.mark.catalogue("A13")
def test_the_lenient_switch_is_for_commands_alone() -> None:
    driver = Driver(
        config(
            extensions=(*STANDARD, AUTH), mechanisms=(LOGIN,), quirks=frozenset({Quirk.BARE_LF}), early_input=EarlyInput.REPORT
        ),
        tls=TLS,
    )
    assert codes(driver.feed(b"EHLO client.example\nNOOP\nMAIL FROM:<>\nRCPT TO:<a@example.org>\r\nDATA\n")) == [
        "250", "250 2.0.0", "250 2.1.0", "250 2.1.5", "354",
    ]  # fmt: skip
    assert driver.feed(b"x\n.\nNOOP\n") == b""
    assert codes(driver.feed(b"\r\n.\r\nRSET\n")) == ["554 5.6.0", "250 2.0.0"]
    assert codes(driver.feed(b"AUTH LOGIN\n")) == ["334"]
    assert driver.feed(b"dXNlcg==\n") == b""
    assert codes(driver.feed(b"\r\n")) == ["501 5.5.2"]
    driver.feed(b"MAIL FROM:<>\nRCPT TO:<a@example.org>\n")
    assert codes(driver.feed(b"BDAT 2\n\n\nNOOP\n")) == ["554 5.6.0", "250 2.0.0"]


@pytest.mark.catalogue("A14")
@CUTS
def test_a_long_line_is_one_line(cut: int | None) -> None:
    driver = ready()
    assert codes(driver.feed(b"NOOP " + b"x" * 16_379 + b"RSET\r\n", cut)) == ["500 5.5.6"]
    assert driver.codes("NOOP") == ["250 2.0.0"]
    # (The greatest reads end where a line would, and what follows looks like one.)
    assert codes(driver.feed(b"NOOP " + b"x" * 2_041 + b"\rRSET\r\n", 2_048)) == ["500 5.5.6"]
    assert codes(driver.feed(b"x" * 65_537, cut)) == ["421 4.7.0"]
    assert driver.events[-1] == Closed(Cause.LIMIT, "swallowed_octets")


@pytest.mark.catalogue("A14", "F5")
@CUTS
@pytest.mark.parametrize(
    "line",
    [b"BDAT 12" + b" " * 3000 + b"LAST", b"BDAT\t12", b"BDAT\t12 LAST", b"BDAT\x0012", b"BDAT\xa012", b"BDAT\xc2\xa012 LAST",
     b"bdat\x0b12", b"BDAT 12\xff", b"BDAT 12 \xc3\xbc"],
)  # fmt: skip
def test_chunks_behind_a_line_that_cannot_be_read(line: bytes, cut: int | None) -> None:
    # Whoever takes this line for BDAT has octets behind it that are no commands; nobody can tell how many.
    driver = opened()
    driver.feed(line + b"\r\nMAIL FROM:<>\r\n", cut)
    assert driver.wait is Wait.CLOSED
    assert codes(driver.out)[-1][0] in "45"
    assert len(driver.seen(MailFrom)) == 1


@pytest.mark.catalogue("A15")
@pytest.mark.parametrize(
    "octets",
    [
        b"POST / HTTP/1.1\r\nHost: mx.example.org\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.example>\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"get /\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x16",
        b"Host: x\r\nUser-Agent: y\r\nAccept: z\r\nEHLO x\r\nMAIL FROM:<>\r\n",
    ],
)
def test_another_protocol(octets: bytes) -> None:
    driver = Driver()
    driver.feed(octets, 7)
    assert driver.wait is Wait.CLOSED
    assert codes(driver.out)[-1] == "421 4.7.0"
    assert not driver.seen(Hello, MailFrom)
    assert driver.events[-1].cause is Cause.PROTOCOL


@pytest.mark.catalogue("A16")
@pytest.mark.parametrize("policy", EarlyInput)
def test_a_message_sent_ahead(policy: EarlyInput) -> None:
    message = b"DATA\r\nSubject: x\r\n\r\nQUIT\r\n.\r\n"
    driver = opened(early_input=policy)
    out = driver.feed(message)
    if policy is EarlyInput.REJECT:
        assert codes(out) == ["554 5.5.0"]
        assert driver.events[-1] == Closed(Cause.PROTOCOL, "early input")
    else:
        assert codes(out) == ["354", "250 2.0.0"]
        assert driver.body == b"Subject: x\r\n\r\nQUIT\r\n"
    # Out of order, or refused: never are its lines commands.
    for driver in (ready(early_input=policy), opened(early_input=policy)):
        driver.answer = lambda conn, event: (
            conn.reject(event, Reply(550, "No")) if isinstance(event, BodyBegin) else accept_all(conn, event)
        )
        assert codes(driver.feed(message))[-1] == "554 5.5.0"
        assert driver.wait is Wait.CLOSED
        assert not [event for event in driver.events if type(event).__name__ == "Quit"]


# --- D: AUTH ----------------------------------------------------------------------------------------

GUESS = b64(b"\0tim\0guess")
OTHER = b64(b"other\0user\0pw")


@pytest.mark.catalogue("D1")
@pytest.mark.parametrize("line", ["AUTH PLAIN AHRpbQBzZWNyZXQ=", "AUTH PLAIN", "AUTH LOGIN", "AUTH NTLM", "AUTH PLAIN !!!"])
def test_no_password_in_the_clear(line: str) -> None:
    driver = Driver(config(extensions=(*STANDARD, AUTH), mechanisms=(PLAIN, LOGIN)))
    assert b"AUTH" not in driver.say("EHLO client.example")
    assert driver.codes(line) == ["538 5.7.11"]
    assert not driver.seen(PasswordCheck, AuthFailed)


@pytest.mark.catalogue("D3")
def test_three_passwords() -> None:
    def no(conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, PasswordCheck):
            conn.reject(event, Reply(535, "Wrong", "5.7.8"))
        else:
            accept_all(conn, event)

    driver = authenticating()
    driver.answer = no
    for _ in range(3):
        assert driver.codes(f"AUTH PLAIN {GUESS}") == ["535 5.7.8"]
    assert driver.codes(f"AUTH PLAIN {GUESS}") == ["421 4.7.0"]
    assert len(driver.seen(PasswordCheck)) == len(driver.seen(AuthFailed)) == 3
    assert driver.events[-1] == Closed(Cause.LIMIT, "auth_attempts")


@pytest.mark.catalogue("D7")
def test_long_answers() -> None:
    driver = authenticating()
    name = b64(b"u" * 9_207)
    assert len(name) + 2 <= 12_288
    assert driver.codes("AUTH LOGIN") == ["334"]
    assert driver.codes(name) == ["334"]
    assert driver.codes("*") == ["501 5.7.0"]
    assert driver.codes("AUTH LOGIN") == ["334"]
    assert driver.codes("A" * 65_534) == ["500 5.5.6"]
    assert driver.codes("NOOP") == ["250 2.0.0"]
    driver = authenticating()
    driver.say("AUTH LOGIN")
    driver.feed(b"A" * 70_000, 4_096)
    assert driver.events[-1] == Closed(Cause.LIMIT, "swallowed_octets")


@pytest.mark.catalogue("D8")
@pytest.mark.parametrize(
    "message",
    [b"\0no\r\nbody\0pw", b"\0no\nbody\0pw", b"\0no\x1bbody\0pw", b"\0no\x7fbody\0pw", b"\0no\xc2\x85body\0pw", b"a\rb\0nobody\0pw",
     b"\0nobody\0p\0w", b"\0\0pw", b"nobody\0pw", b"\0no\xffbody\0pw"],
)  # fmt: skip
def test_controls_in_names(message: bytes) -> None:
    driver = authenticating()
    (code,) = driver.codes(f"AUTH PLAIN {b64(message)}")
    assert code[:3] in ("501", "535")
    assert not driver.seen(PasswordCheck)
    driver = authenticating()
    driver.say("AUTH LOGIN")
    assert driver.codes(b64(b"no\r\nbody"))[0][:3] == "501"


@pytest.mark.catalogue("D9")
def test_whom_a_client_wants_to_be() -> None:
    def strict(conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, PasswordCheck) and event.authzid is not None:
            conn.reject(event, Reply(535, "Not you", "5.7.8"))
        else:
            accept_all(conn, event)

    driver = authenticating()
    driver.answer = strict
    assert driver.codes(f"AUTH PLAIN {OTHER}") == ["535 5.7.8"]
    (check,) = driver.seen(PasswordCheck)
    assert (check.username, check.authzid) == ("user", "other")
    assert driver.conn.identity is None
    driver.answer = accept_all
    assert driver.codes(f"AUTH PLAIN {OTHER}") == ["235 2.7.0"]
    identity = driver.conn.identity
    assert identity is not None
    assert (identity.username, identity.authenticated_as) == ("other", "user")


@pytest.mark.catalogue("D11")
@pytest.mark.parametrize("octets", [b"dXNlcg==\ncGFzcw==\r\n", b"dXNlcg==\rcGFzcw==\r\n", b"dXNlcg==\n\r\n"])
def test_an_answer_is_one_line(octets: bytes) -> None:
    driver = authenticating(quirks=frozenset(Quirk))
    driver.say("AUTH LOGIN")
    assert codes(driver.feed(octets)) == ["501 5.5.2"]
    assert driver.conn.phase is Phase.READY


SECRET = b"hunter2-hunter2"
TOKEN = b64(b"\0tim\0" + SECRET)


@pytest.mark.catalogue("D12", "J3")
@pytest.mark.parametrize("tls", [TLS, None], ids=["tls", "clear"])
@pytest.mark.parametrize("early", EarlyInput)
@pytest.mark.parametrize(
    "sent",
    [
        f"AUTH PLAIN {TOKEN}\r\n",
        f"auth plain {TOKEN}\r\nNOOP\r\n",
        f"AUTH PLAIN {TOKEN} X\r\n",
        f"AUTH PLAIN {TOKEN}!\r\n",
        f"AUTH NTLM {TOKEN}\r\n",
        f"AUTH\tPLAIN {TOKEN}\r\n",
        f"AUTH  PLAIN {TOKEN}\r\n",
        f"AUTH {TOKEN}\r\n",
        f"AUTH PLAIN {TOKEN}\n\r\n",
        f"AUTH PLAIN \x00{TOKEN}\r\n",
        f"AUTH PLAIN {TOKEN}\N{LATIN SMALL LETTER E WITH ACUTE}\r\n",
        f"AUTH PLAIN\r\n{TOKEN}\r\n",
        f"AUTH PLAIN\r\n{TOKEN}\r\n{TOKEN}\r\n",
        f"AUTH NTLM\r\n{TOKEN}\r\n",
        f"AUTH LOGIN\r\ndGlt\r\n{b64(SECRET)}\r\n",
        f"AUTH LOGIN\r\ndGlt\r\n{b64(SECRET)}!\r\n",
        f"MAIL FROM:<>\r\nAUTH PLAIN {TOKEN}\r\n",
        f"AUTH PLAIN {TOKEN}{'x' * 20_000}\r\n",
    ],
)
def test_no_secret_is_told(sent: str, early: EarlyInput, tls: Any) -> None:
    """Neither in what an event shows of itself, nor in a line that was refused, nor in a reply."""
    for answer in (accept_all, lambda conn, event: refuse_passwords(conn, event)):
        driver = Driver(
            config(extensions=(*STANDARD, AUTH), mechanisms=(PLAIN, LOGIN), early_input=early), tls=tls, answer=answer
        )
        driver.say("EHLO client.example")
        driver.feed(sent.encode(), 9)
        driver.feed(sent.encode())
        told = repr(driver.events) + driver.out.decode() + repr(driver.conn) + str(driver.conn)
        for secret in (SECRET.decode(), TOKEN, b64(SECRET)):
            assert secret not in told


def refuse_passwords(conn: ServerConnection, event: ServerEvent) -> None:
    if isinstance(event, PasswordCheck):
        conn.reject(event, Reply(535, "Wrong", "5.7.8"))
    else:
        accept_all(conn, event)


# --- E: addresses and parameters ------------------------------------------------------------------------


def verdict(line: bytes, *, smtputf8: bool = False, **changes: Any) -> str:
    """The code of the reply to *line* in a transaction."""
    driver = ready(**changes)
    driver.say("MAIL FROM:<>" + " SMTPUTF8" * smtputf8)
    (code,) = codes(driver.feed(line + b"\r\n"))
    assert (code[0] == "2") == bool(driver.seen(RcptTo))
    return code[:3]


@pytest.mark.catalogue("E1")
@pytest.mark.parametrize("octet", [*range(32), 127])
def test_controls_in_a_path(octet: int) -> None:
    if octet == 10:  # one that ends a line where that is permitted
        assert verdict(b"RCPT TO:<a\nb@example.org>") == "500"
    for path in (b"<a%bb@example.org>", b'<"a%bb"@example.org>', b'<"a\\%bb"@example.org>', b"<ab@exam%bple.org>", b"<a@[1.2.3.4%b]>"):
        assert verdict(b"RCPT TO:" + path % bytes([octet])) in ("500", "501", "553")


@pytest.mark.catalogue("E2", "E3", "E4")
@pytest.mark.parametrize(
    "path",
    [b"<a@x,b@y>", b"<a@x>,<b@y>", b"<a@x> <b@y>", b"<a@x>b", b"<a@b", b'<"a@b>', b"<<a@b>>", b"a@b>", b"<a@b>>", b'<a"@b>',
     b'<"a""b"@c>', b"<>", b"<@>", b"<a@>", b"<@b>", b"", b"<a>", b"<a@b@c>", b"< a@b>", b"<a@b >", b"<a @b>", b"<(c)a@b>",
     b"<a@b.>", b"<.a@b>", b"<a.@b>", b"<a..b@c>", b"<a@-b>", b"<a@b->", b"<a@b..c>", b"<a@[1.2.3]>", b"<a@[1.2.3.4>", b"<a@1.2.3.4]>"],
)  # fmt: skip
def test_what_is_no_path(path: bytes) -> None:
    assert verdict(b"RCPT TO:" + path) == "501"


@pytest.mark.catalogue("E5")
def test_the_null_sender_is_taken() -> None:
    driver = ready()
    assert driver.codes("MAIL FROM:<>") == ["250 2.1.0"]
    assert driver.seen(MailFrom) == [MailFrom(NULL_PATH)]


@pytest.mark.catalogue("E6")
@pytest.mark.parametrize("path", [b"<@a,@b:c@d>", b"<@a:c@d>", b"<@a.example,@b,@c:c@d>"])
def test_source_routes_are_read_and_ignored(path: bytes) -> None:
    driver = opened()
    driver.feed(b"RCPT TO:" + path + b"\r\n")
    assert driver.seen(RcptTo)[-1].path == Mailbox("c", "d")
    for broken in (b"<@a,b:c@d>", b"<@a,@b;c@d>", b"<@:c@d>", b"<@a,:c@d>", b"<a:c@d>"):
        assert verdict(b"RCPT TO:" + broken) == "501"


@pytest.mark.catalogue("E7", "E15")
@pytest.mark.parametrize(
    ("local_part", "domain"),
    [
        ("victim%remote", "local"), ("remote!victim", "local"), ('"victim@remote"', "local"), ("victim", "[127.0.0.1]"),
        ('"a@b"', "[IPv6:::1]"), ('";sleep${IFS}5;"', "x"), ("${run{/bin/sh}}", "x"), ('"../../etc/passwd"', "x"), ("`id`", "x"),
        ('"|/bin/sh"', "x"), ('"/dev/null"', "x"), ("a/b", "x"), ("$(id)".replace("(", "{").replace(")", "}"), "x"),
    ],
)  # fmt: skip
def test_local_parts_are_opaque(local_part: str, domain: str) -> None:
    driver = opened()
    driver.say(f"RCPT TO:<{local_part}@{domain}>")
    path = driver.seen(RcptTo)[-1].path
    assert (path.local_part, path.domain, str(path)) == (local_part, domain, f"{local_part}@{domain}")
    assert path.host is not None
    assert "@" not in str(path.host)


@pytest.mark.catalogue("E8", "G10")
@pytest.mark.parametrize(
    "unit",
    ["<", "(", '\\"', "@a,", "a.", '"', "a@", ">", " ", "=", "A=B ", "[", ".", "-", "%", "\u00fc", "+41", "a-", "\t", "<@a,", "\\x{41}", ";"],
)
@pytest.mark.parametrize(
    "start", ["RCPT TO:<", "RCPT TO:<@", 'RCPT TO:<"', "RCPT TO:<a@", "RCPT TO:<a@b> ", "RCPT TO:<a@b> ORCPT=utf-8;", "VRFY ", "EHLO "]
)
def test_lines_are_read_in_linear_time(start: str, unit: str) -> None:
    settings = config(
        extensions=(*STANDARD, DSN),
        verify=True,
        limits=Limits(command_octets=10**9, swallowed_octets=10**9, buffered_octets=10**9, errors=10**9, junk_commands=10**9),
        quirks=frozenset(Quirk),
    )
    driver = Driver(settings, answer=lambda conn, event: take_but(conn, event))
    driver.say("EHLO client.example")
    driver.say("MAIL FROM:<> SMTPUTF8")
    conn = driver.conn

    def read(line: bytes) -> None:
        conn.receive_data(line, 0.0)
        driver.pump()
        assert driver.wait is Wait.DATA

    assert_linear(read, lambda size: (start + unit * (size // len(unit)) + "\r\n").encode(), 4_000, 64_000)


def take_but(conn: ServerConnection, event: ServerEvent) -> None:
    """Say yes to whatever leaves the session in its phase, and no to the rest."""
    if isinstance(event, Hello | RcptTo) and conn.phase is not Phase.HELLO:
        conn.reject(event, Reply(550, "No"))
    else:
        accept_all(conn, event)


@pytest.mark.catalogue("E9")
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("x" * 64 + "@example.org", "250"), ("x" * 65 + "@example.org", "501"),
        ("x@" + "y" * 63, "250"), ("x@" + "y" * 64, "501"), ("x@a." + "y" * 64 + ".b", "501"),
        ("x@" + ".".join(["y" * 49] * 5) + ".zz", "250"),  # 252 octets of domain, 256 of path
        ("x@" + ".".join(["y" * 49] * 5) + ".zzz", "501"),
        ("x@" + ".".join(["y" * 49] * 5) + ".zzzzzz", "501"),  # 256 octets of domain
        ('"' + "x" * 62 + '"@example.org', "250"), ('"' + "x" * 63 + '"@example.org', "501"),
        ("\u00fc" * 32 + "@example.org", "250"), ("\u00fc" * 33 + "@example.org", "501"),
    ],
)  # fmt: skip
def test_sizes_of_a_path(path: str, code: str) -> None:
    assert verdict(f"RCPT TO:<{path}>".encode(), smtputf8=True) == code


@pytest.mark.catalogue("E10", "E11")
@pytest.mark.parametrize(
    "octets",
    [b"\xc3\x28", b"\xc0\xaf", b"\xe2\x82", b"\xed\xa0\x80", b"\xe9", b"\xf5\x80\x80\x80", b"\xc2\x85", b"\xc2\x9f", b"\xef\xb7\x90",
     b"\xef\xbf\xbe", b"\xf0\x9f\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
)  # fmt: skip
def test_what_is_no_utf_8_for_an_address(octets: bytes) -> None:
    for path in (b"<a%b@example.org>", b'<"a%b"@example.org>', b"<a@ex%bample.org>"):
        assert verdict(b"RCPT TO:" + path % octets, smtputf8=True) == "553"
        assert verdict(b"RCPT TO:" + path % octets) == "553"


@pytest.mark.catalogue("E11")
@pytest.mark.parametrize("text", ["\u202e", "\u2066", "\u0430", "\ufeff", "\u200b"])
def test_look_alikes_are_shown_for_what_they_are(text: str) -> None:
    driver = ready()
    driver.say("MAIL FROM:<> SMTPUTF8")
    line = f"RCPT TO:<{text}@example.org>".encode()
    assert codes(driver.feed(line + b"\r\n"))[0] == "250 2.1.5"
    shown = safe(str(driver.seen(RcptTo)[0].path))
    assert text not in shown or text == "\u0430"
    assert str(driver.seen(RcptTo)[0].path.local) == text  # and kept to the letter


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize("value", ["-1", "1_0", "\u0663", "1" * 25, "", "0x1", "1.", " 1", "\u00bd"])
def test_sizes_that_are_none(value: str) -> None:
    driver = ready()
    (code,) = driver.codes(f"MAIL FROM:<> SMTPUTF8 SIZE={value}")
    assert code[:3] == "501"
    assert not driver.seen(MailFrom)
    assert driver.codes(f"MAIL FROM:<> SIZE={2**64 + 10}") == ["552 5.3.4"]


@pytest.mark.catalogue("E13")
@pytest.mark.parametrize("parameter", ["REQUIRETLS", "RET=FULL", "MT-PRIORITY=1", "X-MINE=1", "AUTH=<>", "BODY=8BITMIME"])
def test_a_promise_that_nobody_keeps(parameter: str) -> None:
    driver = ready(extensions=(SIZE,))
    assert driver.codes(f"MAIL FROM:<> {parameter}") == ["555"]
    driver.say("MAIL FROM:<>")
    assert driver.codes(f"RCPT TO:<a@example.org> {parameter}") == ["555"]
    assert driver.conn.phase is Phase.MAIL


@pytest.mark.catalogue("E14")
@pytest.mark.parametrize("value", ["a+0D+0Ab", "a+00b", "a+1Bb", "a+7Fb", "a+80b", "a+C2+85b"])
def test_controls_in_xtext(value: str) -> None:
    driver = ready(extensions=(*STANDARD, DSN))
    assert driver.codes(f"MAIL FROM:<> ENVID={value}") == ["501 5.5.4"]
    driver.say("MAIL FROM:<>")
    assert driver.codes(f"RCPT TO:<a@b> ORCPT=rfc822;{value}") == ["501 5.5.4"]


# --- F: the machine, pipelining, BDAT -------------------------------------------------------------------


@pytest.mark.catalogue("F1", "F2", "F3", "F4")
def test_order_and_resets() -> None:
    driver = ready()
    assert driver.codes("RCPT TO:<a@example.org>", "DATA") == ["503 5.5.1"] * 2
    assert driver.codes("MAIL FROM:<>", "MAIL FROM:<>", "RCPT TO:<a@example.org>") == ["250 2.1.0", "503 5.5.1", "250 2.1.5"]
    assert driver.codes("EHLO client.example") == ["250"]
    assert driver.codes("DATA") == ["503 5.5.1"]
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA")
    assert driver.codes("a\nb", ".", "RCPT TO:<a@example.org>") == ["554 5.6.0", "503 5.5.1"]
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    driver.feed(b"BDAT 4\r\na\nbc")
    assert driver.codes("DATA") == ["503 5.5.1"]
    driver = opened()
    # "BDAT 4 FIRST": what follows cannot be told from commands.
    assert driver.codes("BDAT 4 FIRST", "DATA") == ["501 5.5.4"]
    assert driver.wait is Wait.CLOSED


@pytest.mark.catalogue("F5")
@CUTS
@pytest.mark.parametrize("where", ["HELLO", "READY", "MAIL", "not offered", "no TLS"])
def test_a_refused_chunk_is_consumed(where: str, cut: int | None) -> None:
    driver = Driver(
        config(
            extensions=(SIZE,) if where == "not offered" else (*STANDARD, STARTTLS),
            tls_required=where == "no TLS",
        )
    )
    if where != "HELLO":
        driver.say("EHLO client.example")
    if where == "MAIL":
        driver.say("MAIL FROM:<>")
    out = driver.feed(b"BDAT 18 LAST\r\nNOOP\r\nNOOP\r\nNOOP\r\n", cut)
    assert [code[:3] for code in codes(out)] == ["502" if where == "not offered" else "503"]
    assert driver.codes("NOOP")[0][:3] == "250"


@pytest.mark.catalogue("F6", "A10")
@CUTS
def test_a_chunk_that_does_not_come_whole(cut: int | None) -> None:
    driver = opened()
    driver.feed(b"BDAT 100 LAST\r\n" + b"x" * 43, cut)
    driver.eof()
    assert not driver.seen(BodyEnd)
    assert driver.events[-2:] == [BodyAborted(Abort.LOST), Closed(Cause.EOF)]


@pytest.mark.catalogue("F7")
@pytest.mark.parametrize(
    "size", ["-1", "0x10", "1_0", "+1", "", "1 2", "1.0", "1e1", "9" * 21, "\u0663", "\u00b2", "\uff11", "LAST", "5 FIRST", "5LAST"]
)
def test_a_size_that_cannot_be_read_closes(size: str) -> None:
    driver = opened()
    assert driver.codes(f"BDAT {size}", "NOOP") == ["501 5.5.4"]
    assert driver.events[-1] == Closed(Cause.PROTOCOL, "BDAT")


@pytest.mark.catalogue("F7", "G8")
@pytest.mark.parametrize("size", [2**64 + 5, 10**20 - 1, 2**63, 78_643_201])
def test_a_size_too_great_to_be_consumed_closes(size: int) -> None:
    for driver in (ready(), opened()):
        assert driver.codes(f"BDAT {size} LAST") == ["421 4.3.0"]
        assert driver.events[-1] == Closed(Cause.LIMIT, "discard_octets")


@pytest.mark.catalogue("F7")
def test_a_size_of_nothing() -> None:
    driver = opened()
    assert driver.codes("BDAT 0 LAST") == ["250 2.0.0"]
    assert driver.seen(BodyEnd) == [BodyEnd(0)]
    driver = opened(limits=Limits(message_octets=65_536))
    assert codes(driver.feed(b"BDAT 65537 LAST\r\n" + b"x" * 65_537)) == ["552 5.3.4"]


@pytest.mark.catalogue("F8")
def test_many_chunks() -> None:
    driver = opened()
    out = driver.feed(b"BDAT 1\r\nx" * 10_000 + b"BDAT 1 LAST\r\nx", 65_536)
    assert codes(out).count("250 2.0.0") == 10_000
    assert codes(out)[-1] == "552 5.3.4"
    assert driver.seen(BodyAborted) == [BodyAborted(Abort.TOO_BIG)]


@pytest.mark.catalogue("F9")
def test_ways_of_sending_do_not_mix() -> None:
    driver = opened()
    assert codes(driver.feed(b"BDAT 2\r\n\r\nRSET\r\nBDAT 6\r\nNOOP\r\n")) == ["250 2.0.0", "250 2.0.0", "503 5.5.1"]
    driver = opened()
    assert codes(driver.feed(b"BDAT 2 LAST\r\n\r\nBDAT 6 LAST\r\nNOOP\r\n")) == ["250 2.0.0", "503 5.5.1"]
    driver = opened()
    assert codes(driver.feed(b"BDAT 2\r\n\r\nDATA\r\n")) == ["250 2.0.0", "503 5.5.1"]
    driver = in_data()
    assert codes(driver.feed(b"BDAT 2 LAST\r\n\r\n\r\n.\r\n")) == ["250 2.0.0"]
    assert driver.body == b"BDAT 2 LAST\r\n\r\n\r\n"


PRINTABLE = re.compile(rb"(?:[2-5][0-5][0-9][ -][ -~]{0,506}\r\n)*")


@pytest.mark.catalogue("F14", "J1", "J2")
@pytest.mark.parametrize(
    "line",
    [b"EHLO a\x1b[31mb", b"EHLO a\x1b]0;x\x07", b"HELO a\rb", b"NOOP \x1b[2J", b"VRFY \x1b[2J", b"MAIL FROM:<\x1b[2J@x>", b"\x1b[2J",
     b"MAIL FROM:<> \x1b=1", b"MAIL FROM:<> " + b"X" * 1_900, b"HELP \x1b", b"FOO\xe2\x80\xae", b"AUTH \x1b", b"ETRN \x1b", b"X" * 2_000],
)  # fmt: skip
def test_replies_are_safe(line: bytes) -> None:
    driver = Driver(config(quirks=frozenset(Quirk), verify=True))
    for _ in range(2):
        driver.feed(line + b"\r\n")
        assert PRINTABLE.fullmatch(driver.out)
        driver.say("EHLO client.example")
    told = safe("".join(safe(event.line) for event in driver.seen(Refused)))
    assert told.isprintable()


@pytest.mark.catalogue("F14")
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_replies_are_safe_whatever_comes(lines: list[bytes]) -> None:
    driver = Driver(config(early_input=EarlyInput.REPORT))
    driver.feed(b"EHLO client.example\r\n" + b"".join(line + b"\r\n" for line in lines))
    assert PRINTABLE.fullmatch(driver.out)


# --- G: exhaustion ----------------------------------------------------------------------------------------


@pytest.mark.catalogue("G5")
def test_a_client_that_takes_nothing() -> None:
    conn = ready(limits=Limits(junk_commands=10**6)).conn
    flood = b"HELP\r\n" * 10_000
    conn.receive_data(flood, 0.0)
    assert conn.next_event() is Wait.SEND
    for _ in range(50):
        if conn.wants_data:
            conn.receive_data(flood, 0.0)
        assert conn.next_event() is Wait.SEND
    assert conn._link.out_octets < conn.limits.output_octets + 512
    assert len(conn._in) < conn.limits.buffered_octets + len(flood)


@pytest.mark.catalogue("G7")
def test_budgets() -> None:
    driver = ready()
    assert driver.codes(*["FOO"] * 11)[-1] == "421 4.7.0"
    for word in ("NOOP", "RSET", "HELP", "VRFY a", "EXPN a"):
        driver = ready()
        assert driver.codes(*[word] * 101)[-1] == "421 4.7.0"
        assert driver.wait is Wait.CLOSED
    driver = ready()
    said = driver.codes("MAIL FROM:<>", *["RCPT TO:<a@example.org>"] * 1_001)
    assert (said.count("250 2.1.5"), said[-1]) == (1_000, "452 4.5.3")


@pytest.mark.catalogue("G8")
def test_a_message_without_end() -> None:
    driver = in_data(limits=Limits(message_octets=1_000_000))
    read = b"x" * 65_536
    for _ in range(16):
        driver.feed(read)
    assert len(driver.body) == 1_000_000
    assert driver.seen(BodyAborted) == [BodyAborted(Abort.TOO_BIG)]
    for _ in range(7):
        driver.feed(read)
    assert driver.events[-1] == Closed(Cause.LIMIT, "discard_octets")
    assert len(driver.body) == 1_000_000


UNITS = {
    "commands": b"NOOP\r\n",
    "one long line": b"x",
    "empty lines": b"\r\n",
    "bare line ends": b"\n",
    "messages": b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n.\r\n",
    "chunks": b"BDAT 1\r\nx",
    "messages in chunks": b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nBDAT 1 LAST\r\nx",
    "stray chunks": b"BDAT 1 LAST\r\nx",
    "recipients": b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\n",
}
FOREVER = Limits(
    junk_commands=10**9, errors=10**9, recipients=10**9, chunks=10**9, message_octets=10**9, swallowed_octets=10**9,
    buffered_octets=10**9, output_octets=10**9,
)  # fmt: skip


@pytest.mark.catalogue("G10")
@pytest.mark.parametrize("cut", [None, 1, 1000], ids=["one read", "octets", "reads of 1000"])
@pytest.mark.parametrize("before", [[], ["MAIL FROM:<>", "RCPT TO:<a@b>"], ["MAIL FROM:<>", "RCPT TO:<a@b>", "DATA"]], ids=len)
@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_time_is_linear_in_the_input(unit: bytes, before: list[str], cut: int | None) -> None:
    settings = config(early_input=EarlyInput.REPORT, limits=FOREVER)

    def session(octets: bytes) -> None:
        driver = Driver(settings)
        driver.say("EHLO client.example")
        driver.say(*before)
        conn = driver.conn
        for start in range(0, len(octets), cut or len(octets)):
            conn.receive_data(octets[start : start + cut] if cut else octets, 0.0)
            while not isinstance(event := conn.next_event(), Wait):
                accept_all(conn, event)
            conn.data_to_send(0.0)
        assert event is Wait.DATA

    # What lies behind a message in the same read must not be gone through once for each: it takes a great read to see it.
    size = 128_000 if unit is UNITS["messages"] and cut is None else 4_000
    assert_linear(session, lambda size: unit * (size // len(unit)), size, 256_000)


# --- H: what a verdict is worth ---------------------------------------------------------------------------


@pytest.mark.catalogue("H7")
def test_the_verdict_is_said_at_once_and_the_client_told_before_it_leaves() -> None:
    driver = in_data()
    assert driver.say("x", ".") == ACCEPTED
    driver.eof()
    assert driver.events[-1] == Closed(Cause.EOF)


@pytest.mark.catalogue("H16")
def test_every_recipient_has_a_fate_of_its_own() -> None:
    def answer(conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, BodyEnd):
            conn.settle(event, [Reply(250, "a"), Reply(452, "b"), Reply(550, "c")])
        else:
            accept_all(conn, event)

    driver = Driver(dialect=LMTP, answer=answer)
    driver.say("LHLO client.example")
    driver.say("MAIL FROM:<>", *(f"RCPT TO:<{name}@example.org>" for name in "abc"), "DATA")
    assert driver.codes(".") == ["250 2.0.0", "452 4.0.0", "550 5.0.0"]


@pytest.mark.catalogue("H20", "C5")
def test_nothing_is_left_of_a_transaction() -> None:
    driver = ready()
    conn = driver.conn
    envelopes = []
    for end in ("RSET", "EHLO client.example", "DATA"):
        driver.say(f"MAIL FROM:<{end[:4]}@client.example> SIZE=5", "RCPT TO:<a@example.org>")
        envelopes.append(conn.envelope)
        driver.say(end)
        if end == "DATA":
            driver.say(".")
        assert conn.envelope is None
        driver.say("MAIL FROM:<>")
        assert conn.envelope is not None
        assert (conn.envelope.reverse_path, conn.envelope.recipients) == (NULL_PATH, ())
        assert conn.envelope.params.size is None
        driver.say("RSET")
    # What was handed out before is not changed by what came after.
    assert [str(each.reverse_path) for each in envelopes if each] == [
        "RSET@client.example", "EHLO@client.example", "DATA@client.example",
    ]  # fmt: skip
    assert all(len(each.recipients) == 1 for each in envelopes if each)


@pytest.mark.catalogue("H20")
def test_sessions_share_nothing_but_the_config() -> None:
    settings = config(limits=Limits(errors=1))
    first, second = Driver(settings), Driver(settings)
    assert first.codes("FOO") == second.codes("FOO") == ["500 5.5.1"]
    first.say("EHLO first.example")
    first.say("MAIL FROM:<a@first.example>")
    assert second.conn.hello is None
    assert second.conn.envelope is None


# --- J: what is told ------------------------------------------------------------------------------------


@pytest.mark.catalogue("J1", "J2")
@pytest.mark.parametrize("octets", [b"\x1b]0;pwned\x07", b"\x9b31m", b"a\nb", "\u202e".encode(), b"\xff\xfe", b"\x00", "\u2028".encode()])
def test_what_a_peer_sent_is_shown_as_one_safe_line(octets: bytes) -> None:
    driver = ready()
    driver.feed(b"FOO " + octets + b"\r\n")
    (refused,) = driver.seen(Refused)
    shown = safe(refused.line)
    assert shown.isprintable()
    assert "\n" not in shown
    assert len(safe(b"x" * 5_000)) < 300


@pytest.mark.catalogue("J10")
def test_the_engine_depends_on_attrs_alone() -> None:
    source = (
        "import sys; before = set(sys.modules); import smtpcore, smtpcore.proxy; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=60)
    assert set(ran.stdout.split()) <= {"smtpcore", "attr", "attrs"}


# --- no row is forgotten ----------------------------------------------------------------------------------

ROWS = {
    "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "A10", "A11", "A13", "A14", "A15", "A16",
    "C1", "C4", "C5", "C6", "C8",
    "D1", "D3", "D5", "D6", "D7", "D8", "D9", "D10", "D11", "D12",
    "E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8", "E9", "E10", "E11", "E12", "E13", "E14", "E15",
    "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F14",
    "G1", "G2", "G5", "G7", "G8", "G10",
    "H7", "H16", "H20",
    "J1", "J2", "J3", "J10",
}  # fmt: skip
"""The rows that are the engine's, and the server's."""


def named_rows(tree: ast.AST) -> set[str]:
    """The rows that tests of *tree* are marked with."""
    rows: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.catalogue":
                    rows |= {ast.literal_eval(row) for row in mark.args}
    return rows


def test_every_row_has_a_test() -> None:
    found: set[str] = set()
    for path in Path(__file__).parent.rglob("test_*.py"):
        found |= named_rows(ast.parse(path.read_text(encoding="utf-8")))
    assert ROWS - found == set()


def test_only_marks_of_tests_count() -> None:
    tree = ast.parse(
        "@pytest.mark.catalogue('A1', 'B2')\ndef test_a(): pass\n"
        "@pytest.mark.slow('C3')\n@pytest.mark.catalogue('D4')\nclass TestB: pass\n"
        "'E5'\nx = pytest.mark.catalogue('F6')\n"
    )
    assert named_rows(tree) == {"A1", "B2", "D4"}
