"""Return-Path and Received."""

import email
import email.policy
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, strategies as st

from smtpcore import (
    NULL_PATH,
    AddressLiteral,
    Domain,
    Envelope,
    Hello,
    Identity,
    Mailbox,
    MailParams,
    Peer,
    Recipient,
    TlsInfo,
)
from smtpcore_trio.trace import comment, protocol, received, return_path

AT = datetime(2026, 11, 21, 13, 5, 7, tzinfo=timezone(timedelta(hours=1)))
ALICE, BOB = Mailbox.parse("alice@example.org"), Mailbox.parse('"b b"@example.org')
TLS = TlsInfo(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384")
EHLO = Hello("EHLO", Domain("client.example"))


def field(**changes: Any) -> str:
    arguments: dict[str, Any] = {
        "by": "mx.example.org",
        "identifier": "abc",
        "envelope": Envelope(ALICE, (Recipient(BOB),)),
        "peer": Peer("192.0.2.1", 1),
        "hello": EHLO,
        "tls": None,
        "identity": None,
        "at": AT,
    }
    return received(**(arguments | changes)).decode()


def test_plain() -> None:
    assert field() == (
        "Received: from client.example ([192.0.2.1])\r\n"
        " by mx.example.org with ESMTP\r\n"
        " id abc\r\n"
        ' for <"b b"@example.org>;\r\n'
        " Sat, 21 Nov 2026 13:05:07 +0100\r\n"
    )


def test_all_that_is_known() -> None:
    text = field(tls=TLS, identity=Identity("tim"), envelope=Envelope(ALICE, (Recipient(ALICE), Recipient(BOB))))
    assert text == (
        "Received: from client.example ([192.0.2.1])\r\n"
        " by mx.example.org with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384; user tim)\r\n"
        " id abc;\r\n"  # of several recipients none is named
        " Sat, 21 Nov 2026 13:05:07 +0100\r\n"
    )


@pytest.mark.parametrize(
    ("hello", "peer", "start"),
    [
        (Hello("EHLO", AddressLiteral.parse("[192.0.2.9]")), Peer("192.0.2.1"), "from [192.0.2.9] ([192.0.2.1])\r\n"),
        (EHLO, Peer("2001:db8::1"), "from client.example ([IPv6:2001:db8::1])\r\n"),
        (EHLO, Peer(None), "from client.example\r\n"),
        (Hello("HELO", "a (b\\"), Peer("192.0.2.1"), "from unknown (HELO a \\(b\\\\ [192.0.2.1])\r\n"),
        (Hello("EHLO", ""), Peer(None), "from unknown (EHLO )\r\n"),
    ],
)
def test_from(hello: Hello, peer: Peer, start: str) -> None:
    assert field(hello=hello, peer=peer).startswith("Received: " + start)


@pytest.mark.parametrize(
    ("verb", "smtputf8", "tls", "identity", "word"),
    [
        ("HELO", False, None, None, "SMTP"),
        ("HELO", False, TLS, None, "SMTP"),
        ("EHLO", False, None, None, "ESMTP"),
        ("EHLO", False, TLS, None, "ESMTPS"),
        ("EHLO", False, None, Identity("x"), "ESMTPA"),
        ("EHLO", True, TLS, Identity("x"), "UTF8SMTPSA"),
        ("LHLO", False, TLS, None, "LMTPS"),
        ("LHLO", True, None, None, "UTF8LMTP"),
    ],
)
def test_protocol(verb: str, smtputf8: bool, tls: TlsInfo | None, identity: Identity | None, word: str) -> None:
    envelope = Envelope(ALICE, (), MailParams(smtputf8=smtputf8))
    assert protocol(envelope, Hello(verb, Domain("a.example")), tls, identity) == word


def test_return_path() -> None:
    assert return_path(Envelope(ALICE, ())) == b"Return-Path: <alice@example.org>\r\n"
    assert return_path(Envelope(NULL_PATH, ())) == b"Return-Path: <>\r\n"
    assert return_path(Envelope(Mailbox.parse("ü@example.org"), ())) == "Return-Path: <ü@example.org>\r\n".encode()


@pytest.mark.catalogue("J1", "J2", "J7")
@given(st.text())
def test_comment_is_printable_ascii_and_balanced(text: str) -> None:
    quoted = comment(text)
    assert all(" " <= character <= "~" for character in quoted)
    rest = quoted.replace("\\\\", "").replace("\\(", "").replace("\\)", "")
    assert "(" not in rest
    assert ")" not in rest
    assert not rest.endswith("\\")


@pytest.mark.catalogue("J7")
@given(st.text(max_size=300), st.text(max_size=300))
def test_peers_text_stays_in_its_field(name: str, user: str) -> None:
    text = field(hello=Hello("EHLO", name), identity=Identity(user))
    message = email.message_from_bytes(text.encode() + b"Subject: x\r\n\r\n", policy=email.policy.compat32)
    assert message.keys() == ["Received", "Subject"]
    assert message["Received"].endswith("Sat, 21 Nov 2026 13:05:07 +0100")
