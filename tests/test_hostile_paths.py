"""What hostile and broken clients send: paths and parameters."""

from typing import Any

import pytest
from _dialogue import Driver, accept_all, codes, config, opened, ready
from linearity import assert_linear

from smtpcore import (
    NULL_PATH,
    Hello,
    Limits,
    Mailbox,
    MailFrom,
    Phase,
    Quirk,
    RcptTo,
    Reply,
    ServerConnection,
    ServerEvent,
    Wait,
    safe,
)
from smtpcore.extensions import DSN, SIZE, STANDARD


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
    for path in (
        b"<a%bb@example.org>",
        b'<"a%bb"@example.org>',
        b'<"a\\%bb"@example.org>',
        b"<ab@exam%bple.org>",
        b"<a@[1.2.3.4%b]>",
    ):
        assert verdict(b"RCPT TO:" + path % bytes([octet])) in ("500", "501", "553")


@pytest.mark.catalogue("E2", "E3", "E4")
@pytest.mark.parametrize(
    "path",
    [b"<a@x,b@y>", b"<a@x>,<b@y>", b"<a@x> <b@y>", b"<a@x>b", b"<a@b",
     b'<"a@b>', b"<<a@b>>", b"a@b>", b"<a@b>>", b'<a"@b>',
     b'<"a""b"@c>', b"<>", b"<@>", b"<a@>", b"<@b>", b"", b"<a>", b"<a@b@c>", b"< a@b>", b"<a@b >", b"<a @b>",
     b"<(c)a@b>",
     b"<a@b.>", b"<.a@b>", b"<a.@b>", b"<a..b@c>", b"<a@-b>", b"<a@b->", b"<a@b..c>", b"<a@[1.2.3]>", b"<a@[1.2.3.4>",
     b"<a@1.2.3.4]>"],
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
        ('"a@b"', "[IPv6:::1]"), ('";sleep${IFS}5;"', "x"), ("${run{/bin/sh}}", "x"), ('"../../etc/passwd"', "x"),
        ("`id`", "x"),
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
    [
        "<",
        "(",
        '\\"',
        "@a,",
        "a.",
        '"',
        "a@",
        ">",
        " ",
        "=",
        "A=B ",
        "[",
        ".",
        "-",
        "%",
        "\u00fc",
        "+41",
        "a-",
        "\t",
        "<@a,",
        "\\x{41}",
        ";",
    ],
)
@pytest.mark.parametrize(
    "start",
    [
        "RCPT TO:<",
        "RCPT TO:<@",
        'RCPT TO:<"',
        "RCPT TO:<a@",
        "RCPT TO:<a@b> ",
        "RCPT TO:<a@b> ORCPT=utf-8;",
        "VRFY ",
        "EHLO ",
    ],
)
def test_lines_are_read_in_linear_time(start: str, unit: str) -> None:
    settings = config(
        extensions=(*STANDARD, DSN),
        verify=True,
        limits=Limits(
            command_octets=10**9, swallowed_octets=10**9, buffered_octets=10**9, errors=10**9, junk_commands=10**9
        ),
        quirks=frozenset(Quirk),
    )
    driver = Driver(settings, answer=take_but)
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
    [b"\xc3\x28", b"\xc0\xaf", b"\xe2\x82", b"\xed\xa0\x80", b"\xe9", b"\xf5\x80\x80\x80", b"\xc2\x85", b"\xc2\x9f",
     b"\xef\xb7\x90",
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
@pytest.mark.parametrize(
    "parameter", ["REQUIRETLS", "RET=FULL", "MT-PRIORITY=1", "X-MINE=1", "AUTH=<>", "BODY=8BITMIME"]
)
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
