"""Whatever the application passes, the client says one command line, or nothing."""

import base64
import re
from typing import Any

import pytest
from _client_play import (
    ALL_OFFERED,
    NAME,
    Scripted,
    authenticating,
    ready,
    state,
)
from hypothesis import given, strategies as st

from smtpcore import (
    Command,
    Envelope,
    LocalProtocolError,
    Mailbox,
    MailParams,
    Recipient,
)

EHLO = Command("EHLO", NAME)
HELO = Command("HELO", NAME)


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


# --- injection ---------------------------------------------------------------------------------------

NASTY = st.sampled_from(
    ["\r\n", "\r", "\n", "\0", "\t", "\x7f", "\x1b[31m", " ", "  ", "\x85", "\u2028", "ü", "\udc80"]
)
WORDS = st.sampled_from(
    ["a", "RSET", "a.example", "<", ">", "@", "=", "+", '"', "\\", "[127.0.0.1]", "x" * 300, "QUIT"]
)
TEXT = st.one_of(
    st.text(max_size=30), st.lists(st.one_of(NASTY, WORDS), max_size=8).map("".join), st.text("ax.\r\n -", max_size=10)
)
LONG = st.sampled_from(["x" * 508, "x" * 2040, "x" * 2041, "x" * 2042, "x" * 70_000, "ü" * 1100])
SAYINGS: dict[str, Any] = {
    "EHLO": lambda conn, text: conn.hello(text),
    "HELP": lambda conn, text: conn.help(text),
    "VRFY": lambda conn, text: conn.verify(text),
    "EXPN": lambda conn, text: conn.expand(text),
    "ETRN": lambda conn, text: conn.command("ETRN", text),
    "": lambda conn, text: conn.command(text, "x"),
    "XCLIENT": lambda conn, text: conn.xclient({"NAME": text}),
    "XCLIENT ": lambda conn, text: conn.xclient({text: "x"}),
    "XCLIENT  ": lambda conn, text: conn.xclient({"LOGIN": text, "NAME": text}),
}


@pytest.mark.catalogue("B5", "B9")
@pytest.mark.parametrize("verb", SAYINGS)
@given(text=st.one_of(TEXT, LONG))
def test_no_argument_brings_a_second_line(verb: str, text: str) -> None:
    play = ready(*ALL_OFFERED)
    before = state(play.conn)
    try:
        SAYINGS[verb](play.conn, text)
    except LocalProtocolError:
        assert state(play.conn) == before
        assert play.sent() == b""
        return
    wire = play.sent()
    assert re.fullmatch(b"[ -~]+\r\n", wire)
    assert wire.split(b" ")[0].strip() == (verb.strip() or text.upper()).encode()
    assert len(wire) <= 2048


@pytest.mark.catalogue("B5")
@pytest.mark.parametrize("verb", SAYINGS)
@pytest.mark.parametrize("control", [chr(code) for code in (*range(32), 127)])
def test_no_control_is_said(verb: str, control: str) -> None:
    for text in (control, f"a{control}b", f"a{control}", f"{control}a"):
        play = ready(*ALL_OFFERED)
        with pytest.raises(LocalProtocolError):
            SAYINGS[verb](play.conn, text)
        assert play.sent() == b""


@pytest.mark.parametrize("verb", SAYINGS)
def test_nothing_beyond_ascii_is_said(verb: str) -> None:
    with pytest.raises(LocalProtocolError):
        SAYINGS[verb](ready(*ALL_OFFERED).conn, "ü.example")


@pytest.mark.catalogue("B5", "B6", "B8", "B10")
@given(parts=st.tuples(TEXT, TEXT, TEXT, TEXT), envid=st.none() | TEXT, utf8=st.booleans())
def test_no_envelope_brings_a_line_or_a_parameter(
    parts: tuple[str, str, str, str], envid: str | None, utf8: bool
) -> None:
    play = ready("PIPELINING", "DSN", *(["SMTPUTF8"] if utf8 else []))
    before = state(play.conn)
    sender, recipient = Mailbox(*parts[:2]), Mailbox(*parts[2:])
    params = MailParams() if envid is None else MailParams(envid=envid)
    try:
        play.conn.send(Envelope(sender, (Recipient(recipient),), params))
    except LocalProtocolError:
        assert state(play.conn) == before
        assert play.sent() == b""
        return
    wire = play.sent()
    if not wire:  # refused on this side
        return
    lines = wire.decode().split("\r\n")
    mail = rb"MAIL FROM:<[^\x00-\x1f\x7f]+>" + rb"( ENVID=[!-<>-~]+)?" + rb"( SMTPUTF8)?"
    assert re.fullmatch(mail + rb"\r\nRCPT TO:<[^\x00-\x1f\x7f]+>\r\nDATA\r\n", wire)
    assert len(lines) == 4
    if not utf8:
        assert wire.isascii()
    assert str(sender) in lines[0] or not sender.domain.isascii()


@given(octets=st.binary(max_size=600), answers=st.lists(st.binary(max_size=600), min_size=1, max_size=3))
def test_what_a_mechanism_says_is_one_line(octets: bytes, answers: list[bytes]) -> None:
    play = authenticating(Scripted(octets, *answers))
    wire = play.sent()
    assert re.fullmatch(b"AUTH X( [A-Za-z0-9+/=]+)?\r\n", wire)
    assert len(wire) <= 512
    for _ in answers:
        play.hear("334 ")
        assert re.fullmatch(b"([A-Za-z0-9+/=]*|[*])\r\n", play.sent())
