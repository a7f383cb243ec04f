"""What hostile and broken clients send, row by row of the catalogue; and that no row of the server's is forgotten."""

import ast
import base64
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from _dialogue import TLS, Driver, accept_all, codes, config, in_data, joined, opened, ready

from smtpcore import (
    Abort,
    AuthFailed,
    BodyAborted,
    BodyBegin,
    BodyEnd,
    Cause,
    Closed,
    EarlyInput,
    Hello,
    MailFrom,
    PasswordCheck,
    Phase,
    Quirk,
    Refused,
    Reply,
    ServerConnection,
    ServerEvent,
    Stray,
    Wait,
    safe,
)
from smtpcore.extensions import AUTH, STANDARD
from smtpcore.sasl import LOGIN, PLAIN

CUTS = pytest.mark.parametrize("cut", [None, 1], ids=["whole", "octets"])
END = b"\r\n.\r\n"
STRAY = b"554 5.6.0 Message holds a bare CR, a bare LF or a NUL\r\n"
ACCEPTED = b"250 2.0.0 Message accepted\r\n"


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
@pytest.mark.parametrize(
    "octets", [b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8", b"\x8d\x8a", b"\n", b"\r"]
)
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
            extensions=(*STANDARD, AUTH),
            mechanisms=(LOGIN,),
            quirks=frozenset({Quirk.BARE_LF}),
            early_input=EarlyInput.REPORT,
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
    [b"BDAT 12" + b" " * 3000 + b"LAST", b"BDAT\t12", b"BDAT\t12 LAST", b"BDAT\x0012", b"BDAT\xa012",
     b"BDAT\xc2\xa012 LAST",
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
    # What nobody can tell by its first word, too much of the unknown tells.
    assert driver.events[-1].cause is (Cause.LIMIT if octets.startswith(b"Host") else Cause.PROTOCOL)


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
@pytest.mark.parametrize(
    "line", ["AUTH PLAIN AHRpbQBzZWNyZXQ=", "AUTH PLAIN", "AUTH LOGIN", "AUTH NTLM", "AUTH PLAIN !!!"]
)
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
    [b"\0no\r\nbody\0pw", b"\0no\nbody\0pw", b"\0no\x1bbody\0pw", b"\0no\x7fbody\0pw", b"\0no\xc2\x85body\0pw",
     b"a\rb\0nobody\0pw",
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
    for answer in (accept_all, refuse_passwords):
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


# --- J: what is told ------------------------------------------------------------------------------------


@pytest.mark.catalogue("J1", "J2")
@pytest.mark.parametrize(
    "octets", [b"\x1b]0;pwned\x07", b"\x9b31m", b"a\nb", "\u202e".encode(), b"\xff\xfe", b"\x00", "\u2028".encode()]
)
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
