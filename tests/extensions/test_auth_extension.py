import pytest
from _dialogue import TLS
from extension_play import MAIL_OK, MAIL_SYNTAX, connect, find, mail, offers, session

from smtpcore import GrammarError, Mailbox, Phase, TlsInfo
from smtpcore.extensions import AUTH, Extension
from smtpcore.extensions.auth import parse_auth
from smtpcore.sasl import EXTERNAL, LOGIN, PLAIN

PARAM = find("MAIL", "AUTH")
MIX = Mailbox("e=mc2", "example.com")


# --- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "parsed"),
    [
        ("PLAIN", ("PLAIN", None)),
        ("plain", ("PLAIN", None)),
        ("SCRAM-SHA-256-PLUS =", ("SCRAM-SHA-256-PLUS", "=")),
        ("PLAIN  dGVzdA==", ("PLAIN", "dGVzdA==")),
        ("x_1 !!", ("X_1", "!!")),
        ("A" * 20, ("A" * 20, None)),
    ],
)
def test_command(argument: str, parsed: tuple[str, str | None]) -> None:
    assert parse_auth(argument) == parsed


@pytest.mark.parametrize(
    "argument", ["", " PLAIN", "A" * 21, "PLAIN a b", "PLAIN\ta", "PLAIN é", "PL\u0131IN", "a.b", "*"]
)
def test_not_the_command(argument: str) -> None:
    with pytest.raises(GrammarError):
        parse_auth(argument)


def test_offer_in_the_clear() -> None:
    assert offers(connect(AUTH, mechanisms=(PLAIN, LOGIN))) == []
    assert offers(connect(AUTH, mechanisms=(PLAIN, LOGIN), cleartext_auth=True)) == ["AUTH PLAIN LOGIN"]


def test_offer_within_tls() -> None:
    assert offers(connect(AUTH, mechanisms=(PLAIN, LOGIN), tls=TLS)) == ["AUTH PLAIN LOGIN"]


def test_offer_of_mechanisms_that_could_succeed() -> None:
    named = TlsInfo("TLSv1.3", client_subject="tim")
    assert offers(connect(AUTH, mechanisms=(EXTERNAL,), tls=named)) == ["AUTH EXTERNAL"]
    driver = connect(AUTH, mechanisms=(EXTERNAL,), tls=TLS)
    assert offers(driver) == []
    assert driver.codes("AUTH EXTERNAL =") == ["502 5.5.1"]


@pytest.mark.catalogue("D1")
def test_not_in_the_clear() -> None:
    assert session(AUTH, mechanisms=(PLAIN,)).codes("AUTH PLAIN AHQAcA==") == ["538 5.7.11"]


@pytest.mark.catalogue("D10")
def test_once() -> None:
    driver = session(AUTH, mechanisms=(PLAIN,), tls=TLS)
    assert driver.codes("AUTH PLAIN AHQAcA==") == ["235 2.7.0"]
    assert driver.codes("AUTH PLAIN AHQAcA==") == ["503 5.5.1"]
    # Still offered, so that AUTH= of MAIL stays what it was.
    assert offers(driver) == ["AUTH PLAIN"]
    assert driver.conn.phase is Phase.READY


@pytest.mark.parametrize(
    ("command", "reply"),
    [("AUTH", b"501 5.5.4 Syntax: AUTH mechanism [initial-response]\r\n"), ("AUTH CRAM-MD5", b"504 5.5.4 ")],
)
def test_refused(command: str, reply: bytes) -> None:
    assert session(AUTH, mechanisms=(PLAIN,), tls=TLS).say(command).startswith(reply)


# --- the parameter -----------------------------------------------------------------------------------


def auth(value: str, *extensions: Extension) -> tuple[str, Mailbox | str | None]:
    reply, params = mail(f"AUTH={value}", AUTH, *extensions, mechanisms=(PLAIN,), tls=TLS)
    return reply, params.auth if params else None


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        ("<>", "<>"),
        ("+3C+3E", "<>"),
        # RFC 4954 5.1
        ("e+3Dmc2@example.com", MIX),
        # RFC 4954 8: letters in any case
        ("e+3dmc2@example.com", MIX),
        ("a+2Bb@example.com", Mailbox("a+b", "example.com")),
        ('"a+20b"@[192.0.2.1]', Mailbox('"a b"', "[192.0.2.1]")),
    ],
)
def test_value(value: str, decoded: Mailbox | str) -> None:
    assert auth(value) == (MAIL_OK, decoded)


@pytest.mark.catalogue("E14")
@pytest.mark.parametrize(
    "value",
    [
        "<",
        "<a@example.com>",
        "<+20>",
        "tim",
        "Postmaster",
        "@example.com",
        "a@b@c",
        "a+0D+0A@example.com",
        "+E9@b",
        "a+@b",
    ],
)
def test_not_a_value(value: str) -> None:
    assert auth(value) == (MAIL_SYNTAX, None)


def test_written() -> None:
    assert PARAM.encode("<>") == "AUTH=<>"
    assert PARAM.encode(MIX) == "AUTH=e+3Dmc2@example.com"


# RFC 4954 5: "MUST support the AUTH parameter ... even when the client has not authenticated itself".
def test_without_authentication() -> None:
    driver = session(AUTH, mechanisms=(PLAIN,), tls=TLS)
    assert driver.codes("MAIL FROM:<a@b.example> AUTH=<>") == ["250 2.1.0"]
    assert driver.conn.identity is None


def test_where_auth_is_not_offered_now() -> None:
    assert mail("AUTH=<>", AUTH, mechanisms=(PLAIN,))[0].startswith("555 5.5.4")


# --- what a client hears ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("", ()),
        ("PLAIN LOGIN", ("PLAIN", "LOGIN")),
        ("login  Plain LOGIN", ("LOGIN", "PLAIN")),
        (f"{'A' * 20} {'A' * 21} X_1 SCRAM-SHA-256-PLUS", ("A" * 20, "X_1", "SCRAM-SHA-256-PLUS")),
        # U+0131 is I, and U+017F S, to str.upper.
        ("LOG\u0131N,PLAIN \u017fCRAM-SHA-1 a.b =PLAIN PLAIN\\x{0D}", ()),
    ],
)
def test_hear(text: str, heard: tuple[str, ...]) -> None:
    assert AUTH.hear(text) == heard


def test_unmet() -> None:
    assert PARAM.unmet("<>") is None
