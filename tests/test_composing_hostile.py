"""Envelopes that were made without a check: what they hold is sent as it is, or not at all."""

from typing import Any

import pytest
from _client_wire import begun, envelope, fates, start
from hypothesis import given, strategies as st

from smtpcore import (
    NULL_PATH,
    Body,
    ClientConfig,
    ClientLimits,
    DeliverBy,
    Envelope,
    LocalProtocolError,
    Mailbox,
    MailFrom,
    MailParams,
    Notify,
    OriginalRecipient,
    RcptParams,
    RcptTo,
    Recipient,
    RequireRecipientValidSince,
    Ret,
    ServerConfig,
    Wait,
)
from smtpcore.testing import CLIENT_TLS, HOSTNAME, ServerDriver
from smtpcore.testing.strategies import EXTENSIONS, MECHANISMS

made: Any = Mailbox  # without a check, and of what the type checker would not take
by: Any = DeliverBy
OFFERED = (
    "PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME", "DSN", "REQUIRETLS", "RRVS", "MT-PRIORITY",
    "FUTURERELEASE 1000 2030-01-01T00:00:00Z", "DELIVERBY 60", "NO-SOLICITING", "SIZE 1000", "AUTH PLAIN",
)  # fmt: skip


def one(path: str = "x@y.example", **params: Any) -> tuple[Recipient, ...]:
    return (Recipient(Mailbox.parse(path), RcptParams(**params)),)


# --- what was made without a check ---------------------------------------------------------------

HOSTILE = [
    "a@b> RCPT TO:<x", "a\r\nRSET\r\n", "a\r", "\n", "\0", "\x7f", "a b", "<a", "a>", "a,b", "a;b", "(a)", '"', '"a',
    '"a\r\nRSET"', '"\\\r"', "a\\", "a..b", ".a", "a.", "", " ", "\t", "a@b", "Bob <a", "=?utf-8?q?a b?=", "\x85",
    "\u2028\r", "\ud800", "\ufffe", "a" * 65, '"' + "a" * 64 + '"', "x" * 5000, "ü" * 40,
    "a BODY=8BITMIME", "a>\u00a0SIZE=5",
]  # fmt: skip
DOMAINS = [
    "y> SIZE=1", "y\r\nRSET", "y\n", "y\0", "y z", "y>", "[1.2.3.4", "[1.2.3]", "[x\r\n]", "[IPv6:::1%eth0]", "y..z",
    "-y", "y-", "y_z", ".y", "y.", " ", "@", "y" * 64, ".".join(["y" * 63] * 4 + ["yyy"]), "ü\r\n", "ü>", "ü z",
    "ü" * 60, "\x85.ü", "ü\ud800", "\u037e", "y,z", "1.2.3.4]", "b'y'",
]  # fmt: skip


def refuses(of: Any) -> None:
    """It is not sent to anybody, and the session goes on."""
    for offered in (("PIPELINING",), OFFERED):
        driver = begun(*offered, tls=CLIENT_TLS)
        with pytest.raises(LocalProtocolError):
            driver.conn.send(of)
        assert driver.pump() is Wait.INTENT
        assert driver.fresh() == b""
        assert not driver.events
        start(driver)
        assert driver.fresh().startswith(b"MAIL FROM:<a@b.example>\r\n")


@pytest.mark.catalogue("B5", "B6", "B7", "B8", "B9")
@pytest.mark.parametrize("local_part", [each for each in HOSTILE if each.isascii()])
def test_a_local_part_that_is_none(local_part: str) -> None:
    refuses(Envelope(made(local_part, "b.example"), one()))
    refuses(Envelope(NULL_PATH, (*one(), Recipient(made(local_part, "b.example")))))
    refuses(envelope(auth=made(local_part, "b.example")))


@pytest.mark.catalogue("B5", "B7", "B8", "B9")
@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_that_is_none(domain: str) -> None:
    refuses(Envelope(made("a", domain), one()))
    refuses(Envelope(NULL_PATH, (*one(), Recipient(made("a", domain)))))
    refuses(envelope(auth=made("a", domain)))


@pytest.mark.catalogue("B7")
@pytest.mark.parametrize(
    "path",
    ["a@b.example", "Bob <a@b.example>", "a@b.example, c@d.example", "<a@b.example>", "", b"a@b.example", None, 5,
     ("a", "b.example"), made(None, "b.example"), made("a", None), made(b"a", "b.example"), made("a", b"b.example"),
     made(5, 5), made("a", ""), made("", ""), Mailbox],
    ids=repr,
)  # fmt: skip
def test_a_path_that_is_no_mailbox(path: Any) -> None:
    sender: Any = Envelope
    refuses(sender(path, one()))
    refuses(Envelope(NULL_PATH, (Recipient(path), *one())))
    refuses(envelope(auth=path) if path is not None and path != "" else None)


def test_the_null_path_is_no_recipient() -> None:
    null: Any = NULL_PATH
    refuses(Envelope(NULL_PATH, (Recipient(null),)))


MAIL_VALUES: list[tuple[str, list[Any]]] = [
    ("size", [-1, "5", "5 BODY=8BITMIME", 5.0, 10**20, True, b"5", "\r\n"]),
    ("body", ["8BITMIME", 8, "BINARYMIME\r\n", Ret.FULL]),
    ("ret", ["FULL", Body.SEVEN_BIT, "HDRS RET=FULL"]),
    ("envid", ["", "a\r\nb", "\0", "\x7f", "ä", "x" * 101, " " * 34, 5, b"x", "\ud800"]),
    ("priority", [10, -10, "1", 1.5, "1 X=Y", True]),
    ("hold_for", [0, -1, 10**9, "5", "5\r\n"]),
    ("hold_until", ["now", "", "2030-13-01T00:00:00Z", "2020-01-01T00:00:00Z\r\n", 5, "2020-01-01T00:00:00Z BY=1;R"]),
    ("by", ["5;R", DeliverBy(0, "R", False), DeliverBy(10**9, "N", False), made("5;R", "x"), (5, "R")]),
    ("by", [by("5;R BODY=7BIT X=5", "N", False), by(5, "RT SIZE=5", False), by(5, "r", 5)]),
    ("solicit", ["org.x", ("org x",), ("a,b",), ("",), ("a\r\n",), ("x" * 1001,), (5,), ["a"], ("1a",)]),
    ("extra", [{"X-NEW": "5"}, {"size": 5}, {"x\r\n": "y"}, None, 5, "ab", [("a", "b")]]),
    ("requiretls", ["yes", 5, "REQUIRETLS\r\n"]),
    ("auth", ["a@b.example", "<> SIZE=5", "\r\n", made("ü", "b.example"), 5]),
]


@pytest.mark.catalogue("B5", "B8", "B9")
@pytest.mark.parametrize(
    ("name", "wrong"),
    [(name, each) for name, values in MAIL_VALUES for each in values],
    ids=lambda each: str(each)[:40],
)
def test_parameters_of_mail_that_are_none(name: str, wrong: Any) -> None:
    refuses(envelope(**{name: wrong}))


@pytest.mark.catalogue("B5", "B8", "B9")
@pytest.mark.parametrize(
    "params",
    [
        {"notify": frozenset({Notify.NEVER, Notify.DELAY})}, {"notify": {"SUCCESS"}}, {"notify": "NEVER"},
        {"notify": frozenset({"x\r\n"})},
        {"orcpt": "rfc822;x"}, {"orcpt": OriginalRecipient("rfc822;x", "y")}, {"orcpt": OriginalRecipient("a b", "y")},
        {"orcpt": OriginalRecipient("rfc822", "x\r\nRSET")}, {"orcpt": OriginalRecipient("rfc822", "ä")},
        {"orcpt": OriginalRecipient("rfc822", "x" * 500)}, {"orcpt": OriginalRecipient("utf-8", "x\r\n")},
        {"orcpt": OriginalRecipient("utf-8", "")}, {"orcpt": OriginalRecipient("", "x")},
        {"orcpt": OriginalRecipient("x y=z", "x")},
        {"rrvs": "2014-04-03T23:01:00Z"},
        {"rrvs": RequireRecipientValidSince("2014-04-03T23:01:00Z ORCPT=x", "R")},
        {"rrvs": RequireRecipientValidSince("2014-04-03T23:01:00Z;R\r\n", "R")},
        {"extra": {"X-NEW": "5"}}, {"extra": {"notify": frozenset()}}, {"extra": None},
    ],
    ids=",".join,
)  # fmt: skip
def test_parameters_of_rcpt_that_are_none(params: dict[str, Any]) -> None:
    refuses(Envelope(NULL_PATH, (*one("z@y.example"), *one(**params))))


def test_a_line_that_is_too_long() -> None:
    """Each of its parts may be permitted."""
    config = ClientConfig(limits=ClientLimits(command_octets=512))
    driver = begun(*OFFERED, config=config)
    to = Recipient(Mailbox.parse("x@y.example"), RcptParams(orcpt=OriginalRecipient("rfc822", "x" * 490)))
    with pytest.raises(LocalProtocolError, match="at most 512 octets"):
        driver.conn.send(Envelope(NULL_PATH, (*one(), to)))
    with pytest.raises(LocalProtocolError, match="at most 512 octets"):
        driver.conn.send(envelope(solicit=("x" * 500,)))
    assert driver.pump() is Wait.INTENT
    assert driver.fresh() == b""
    start(driver)
    assert driver.fresh()


_hostile_text = st.lists(
    st.sampled_from([*HOSTILE[:31], *DOMAINS[:10], "a", "b.example", ".", "-", "+0D+0A", "+", "=", "ü", "postmaster"])
    | st.characters(),
    max_size=4,
).map("".join)  # fmt: skip
_hostile_mailboxes = st.builds(made, _hostile_text, _hostile_text | st.just("b.example"))


@pytest.mark.catalogue("B5", "B6", "B7", "B8", "B9", "B10")
@given(st.data())
def test_whatever_was_made_is_sent_as_it_is_or_not_at_all(data: st.DataObject) -> None:
    """What a server then reads is what was given: no line, no parameter and no address more."""
    text = _hostile_text
    sender: Any = data.draw(_hostile_mailboxes | st.just(NULL_PATH))
    to: list[Any] = data.draw(st.lists(_hostile_mailboxes, min_size=1, max_size=2))
    params: dict[str, Any] = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "envid": text,
                "auth": text | _hostile_mailboxes,
                "hold_until": text,
                "solicit": st.lists(text, max_size=2).map(tuple),
                "size": text | st.integers(-5, 5),
                "by": st.builds(by, text | st.integers(-5, 5), st.sampled_from(["R", "N", "X"]), st.booleans()),
            },
        )
    )
    rcpt_params: dict[str, Any] = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "orcpt": st.builds(OriginalRecipient, text | st.sampled_from(["rfc822", "utf-8"]), text),
                "rrvs": st.builds(RequireRecipientValidSince, text, text),
            },
        )
    )
    of = Envelope(sender, tuple(Recipient(each, RcptParams(**rcpt_params)) for each in to), MailParams(**params))
    driver = begun(*(each for each in OFFERED if data.draw(st.booleans()) or each == "PIPELINING"))
    try:
        transaction = start(driver, of)
    except LocalProtocolError:
        assert driver.pump() is Wait.INTENT
        assert driver.fresh() == b""
        start(driver)
        assert driver.fresh().startswith(b"MAIL FROM:<a@b.example>\r\n")
        return
    octets = driver.fresh()
    if transaction.done:
        assert octets == b""
        return
    sent = [each for each, fate in zip(of.recipients, fates(transaction), strict=True) if fate == "UNSENT"]
    lines = octets.split(b"\r\n")
    verbs = [line[:4] for line in lines]
    assert verbs in ([b"MAIL", *[b"RCPT"] * len(sent), b"DATA", b""], [b"MAIL", *[b"RCPT"] * len(sent), b""])
    server = ServerDriver(EVERYTHING_OFFERED)
    server.say("EHLO client.example")
    server.feed(octets)
    (mail,) = server.seen(MailFrom)
    assert_same(mail.path, sender)
    for name, given_value in params.items():
        assert getattr(mail.params, name) in (given_value, getattr(MailParams(), name))
    rcpts = server.seen(RcptTo)
    assert len(rcpts) == len(sent)
    for rcpt, each in zip(rcpts, sent, strict=True):
        assert_same(rcpt.path, each.path)
        assert rcpt.params.orcpt in (None, each.params.orcpt)


EVERYTHING_OFFERED = ServerConfig(
    hostname=HOSTNAME, extensions=EXTENSIONS, mechanisms=MECHANISMS, cleartext_auth=True
)  # fmt: skip


def assert_same(path: Any, given_path: Any) -> None:
    """They are one address, written alike but for U-labels."""
    assert path == given_path
    if path is not NULL_PATH:
        assert path.local_part == given_path.local_part
