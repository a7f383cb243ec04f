import pytest
from extension_play import MAIL_OK, MAIL_SYNTAX, RCPT_OK, RCPT_SYNTAX, connect, find, mail, offers, rcpt, session
from linearity import assert_linear

from smtpcore import GrammarError, Notify, OriginalRecipient, RcptTo, Ret
from smtpcore.extensions import DSN, EIGHTBITMIME, SMTPUTF8
from smtpcore.extensions.dsn import ENVID_OCTETS, ORCPT_OCTETS

ENVID = find("MAIL", "ENVID")
NOTIFY = find("RCPT", "NOTIFY")
ORCPT = find("RCPT", "ORCPT")
S, F, D, N = Notify.SUCCESS, Notify.FAILURE, Notify.DELAY, Notify.NEVER


def test_offer() -> None:
    # RFC 3461 2 (3): "no parameters are allowed with this EHLO keyword value".
    assert offers(connect(DSN)) == ["DSN"]


# --- RET and ENVID (RFC 3461 4.3, 4.4) -----------------------------------------------------------


@pytest.mark.parametrize(("value", "ret"), [("FULL", Ret.FULL), ("HDRS", Ret.HEADERS), ("hDrS", Ret.HEADERS)])
def test_ret(value: str, ret: Ret) -> None:
    said, params = mail(f"RET={value}", DSN)
    assert said == MAIL_OK
    assert params is not None
    assert params.ret is ret


@pytest.mark.parametrize("value", ["HEADERS", "FULL,HDRS", "BODY"])
def test_not_ret(value: str) -> None:
    assert mail(f"RET={value}", DSN)[0] == MAIL_SYNTAX


@pytest.mark.parametrize(
    ("value", "envid"),
    [("QQ314159", "QQ314159"), ("a+20b", "a b"), ("+2B+3D", "+="), ("a" * 100, "a" * 100), ("+41" * 33, "A" * 33)],
)
def test_envid(value: str, envid: str) -> None:
    said, params = mail(f"ENVID={value}", DSN)
    assert said == MAIL_OK
    assert params is not None
    assert params.envid == envid


@pytest.mark.catalogue("E14")
@pytest.mark.parametrize("value", ["a" * 101, "+41" * 34, "a+0D+0Ab", "a+00", "+7F", "+2b", "+", "+4", "a+E9"])
def test_not_envid(value: str) -> None:
    assert mail(f"ENVID={value}", DSN)[0] == MAIL_SYNTAX


def test_longest_envid_written() -> None:
    assert ENVID.encode("a" * ENVID_OCTETS) == f"ENVID={'a' * 100}"
    assert ENVID.encode("=" * 33) == f"ENVID={'+3D' * 33}"
    for envid in ("a" * 101, "=" * 34):
        with pytest.raises(GrammarError):
            ENVID.encode(envid)


# --- NOTIFY (RFC 3461 4.1) ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "notify"),
    [
        ("NEVER", {N}),
        ("SUCCESS", {S}),
        ("failure,Delay", {F, D}),
        ("DELAY,SUCCESS,FAILURE", {S, F, D}),
        ("SUCCESS,SUCCESS", {S}),
    ],
)
def test_notify(value: str, notify: set[Notify]) -> None:
    said, params = rcpt(f"NOTIFY={value}", DSN)
    assert said == RCPT_OK
    assert params is not None
    assert params.notify == notify


@pytest.mark.parametrize(
    "value", ["NEVER,SUCCESS", "DELAY,NEVER", "NEVER,NEVER", "ALWAYS", "SUCCESS,", ",SUCCESS", ",", "SUCCESS;DELAY"]
)
def test_not_notify(value: str) -> None:
    assert rcpt(f"NOTIFY={value}", DSN)[0] == RCPT_SYNTAX


@pytest.mark.catalogue("E11")
def test_notify_in_ascii() -> None:
    driver = session(DSN, EIGHTBITMIME, SMTPUTF8)
    driver.say("MAIL FROM:<a@b.example> SMTPUTF8")
    assert driver.codes("RCPT TO:<c@d.example> NOTIFY=\u017fUCCESS") == ["501 5.5.4"]


def test_notify_written_in_order() -> None:
    assert NOTIFY.encode(frozenset({D, F, S})) == "NOTIFY=SUCCESS,FAILURE,DELAY"


# --- ORCPT (RFC 3461 4.2, RFC 6533 3) --------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "orcpt"),
    [
        ("rfc822;Carol@Ivory.EDU", OriginalRecipient("rfc822", "Carol@Ivory.EDU")),
        ("RFC822;a+2Bb+3D@c", OriginalRecipient("RFC822", "a+b=@c")),
        ("x400;/C+3Dus/ADMD+3D+20/", OriginalRecipient("x400", "/C=us/ADMD= /")),
        ("rfc822;a;b", OriginalRecipient("rfc822", "a;b")),
        ("rfc822;\\x{20}", OriginalRecipient("rfc822", "\\x{20}")),
        # xtext = *( xchar / hexchar )
        ("rfc822;", OriginalRecipient("rfc822", "")),
        ("utf-8;a@b", OriginalRecipient("utf-8", "a@b")),
        ("UTF-8;\\x{E9}@b", OriginalRecipient("UTF-8", "é@b")),
        ("utf-8;a\\x{2B}\\x{20}\\x{3D}\\x{5C}b", OriginalRecipient("utf-8", "a+ =\\b")),
        ("utf-8;\\x{A0}\\x{100}\\x{FFF}", OriginalRecipient("utf-8", "\u00a0\u0100\u0fff")),
        ("utf-8;\\x{1000}\\x{D7FF}\\x{E000}", OriginalRecipient("utf-8", "\u1000\ud7ff\ue000")),
        ("utf-8;\\x{10000}\\x{FFFFD}\\x{10FFFD}", OriginalRecipient("utf-8", "\U00010000\U000ffffd\U0010fffd")),
        (f"rfc822;{'a' * 493}", OriginalRecipient("rfc822", "a" * 493)),
    ],
)
def test_orcpt(value: str, orcpt: OriginalRecipient) -> None:
    said, params = rcpt(f"ORCPT={value}", DSN)
    assert said == RCPT_OK
    assert params is not None
    assert params.orcpt == orcpt


@pytest.mark.catalogue("E14", "J7")
@pytest.mark.parametrize(
    "value",
    [
        "a@b", ";a@b", "rfc 822;a", "rfc(822);a", "rfc822;a=b", "rfc822;a+0D+0Ab", "rfc822;+2b", "rfc822;+E9", "utf-8;",
        "utf-8;a+2Bb", "utf-8;a+b", "utf-8;\\", "utf-8;\\x{}", "utf-8;\\x{E9", "utf-8;\\xE9", "utf-8;\\x{G0}",
        f"rfc822;{'a' * 494}",
    ],
)  # fmt: skip
def test_not_orcpt(value: str) -> None:
    assert rcpt(f"ORCPT={value}", DSN)[0] == RCPT_SYNTAX


# RFC 6533 3: HEXPOINT stands for nothing that could stand for itself, nor for surrogates, in one way
# alone; and controls, which it could stand for, are no part of an address.
@pytest.mark.catalogue("E10", "E11", "E14")
@pytest.mark.parametrize(
    "point",
    [
        "41", "21", "7E", "2C", "5B", "0A", "0D", "00", "01", "1B", "7F", "80", "85", "9F", "e9", "0E9", "00E9",
        "00020", "000E9", "D800", "DBFF", "DC00", "DFFF", "FDD0", "FFFE", "FFFF", "1FFFF", "10FFFF", "0FFFD", "110000",
        "20FFFD", "10FFFFD", "1", "",
    ],
)  # fmt: skip
def test_not_a_hexpoint(point: str) -> None:
    with pytest.raises(GrammarError):
        ORCPT.decode(f"utf-8;a\\x{{{point}}}@b")


@pytest.mark.catalogue("E10")
@pytest.mark.parametrize(
    "address", ["\u0085@b", "\ufdd0@b", "\uffff", "\U0010ffff", "\ud800", "a b", "a=b", "a+b", "\x7f"]
)
def test_not_a_utf_8_address(address: str) -> None:
    with pytest.raises(GrammarError):
        ORCPT.decode(f"utf-8;{address}")


def test_orcpt_in_utf_8_with_smtputf8_alone() -> None:
    # RFC 6533 3: a server of both extensions "MUST accept a UTF-8 address type ... including 8-bit UTF-8 characters".
    driver = session(DSN, EIGHTBITMIME, SMTPUTF8)
    driver.say("MAIL FROM:<a@b.example> SMTPUTF8")
    assert driver.codes("RCPT TO:<c@d.example> ORCPT=utf-8;é\\x{20}ü@d") == ["250 2.1.5"]
    assert driver.seen(RcptTo)[0].params.orcpt == OriginalRecipient("utf-8", "é ü@d")
    assert driver.codes("RCPT TO:<c@d.example> ORCPT=rfc822;é@d") == ["501 5.5.4"]
    driver.say("RSET", "MAIL FROM:<a@b.example>")
    assert driver.codes("RCPT TO:<c@d.example> ORCPT=utf-8;é@d") == ["553 5.6.7"]


def test_orcpt_written() -> None:
    assert ORCPT.encode(OriginalRecipient("rfc822", "a+b=c d@e")) == "ORCPT=rfc822;a+2Bb+3Dc+20d@e"
    assert ORCPT.encode(OriginalRecipient("utf-8", "\u00e9+ \\\U0010fffd@e")) == (
        "ORCPT=utf-8;\\x{E9}\\x{2B}\\x{20}\\x{5C}\\x{10FFFD}@e"
    )


def test_longest_orcpt() -> None:
    assert ORCPT.encode(OriginalRecipient("rfc822", "a" * 493)) == f"ORCPT=rfc822;{'a' * 493}"
    assert ORCPT_OCTETS == 500
    # It is octets that count, as sent.
    assert ORCPT.decode(f"utf-8;{'é' * 247}") == OriginalRecipient("utf-8", "é" * 247)
    for text in (f"utf-8;{'é' * 247}a", f"utf-8;{'a' * 495}"):
        with pytest.raises(GrammarError):
            ORCPT.decode(text)


@pytest.mark.catalogue("E8")
@pytest.mark.parametrize("piece", ["a", "\\x{E9}", "\\x{10FFF", "\\x{", "\\", "é", "+2B"])
def test_a_hostile_value_takes_linear_time(piece: str) -> None:
    def decode(text: str) -> None:
        with pytest.raises(GrammarError):
            ORCPT.decode(text)

    assert_linear(decode, lambda size: "utf-8;" + piece * (size // len(piece)) + "=")


# --- all four ---------------------------------------------------------------------------------------


def test_rfc_3461_10() -> None:
    driver = session(DSN)
    assert driver.codes(
        "MAIL FROM:<Alice@Example.ORG> RET=HDRS ENVID=QQ314159",
        "RCPT TO:<Bob@Example.COM> NOTIFY=SUCCESS ORCPT=rfc822;Bob@Example.COM",
        "RCPT TO:<Carol@Ivory.EDU> NOTIFY=FAILURE ORCPT=rfc822;Carol@Ivory.EDU",
        "RCPT TO:<Dana@Ivory.EDU> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Dana@Ivory.EDU",
        "RCPT TO:<Eric@Bombs.AF.MIL> NOTIFY=FAILURE ORCPT=rfc822;Eric@Bombs.AF.MIL",
        "RCPT TO:<Fred@Bombs.AF.MIL> NOTIFY=NEVER",
        "RCPT TO:<George@Tax-ME.GOV> NOTIFY=FAILURE ORCPT=rfc822;George@Tax-ME.GOV",
    ) == ["250 2.1.0", *["250 2.1.5"] * 6]
    assert [event.params.notify for event in driver.seen(RcptTo)] == [{S}, {F}, {S, F}, {F}, {N}, {F}]
