"""Departures from the grammar that a config may permit: off unless said, and each use is told."""

import pytest
from _dialogue import Driver, codes, config

from smtpcore import (
    Deviation,
    Hello,
    MailFrom,
    Quirk,
    RcptTo,
)


def quirky(*quirks: Quirk) -> Driver:
    driver = Driver(config(extensions=(), quirks=frozenset(quirks)))
    if Quirk.ODD_HELLO not in quirks:
        driver.say("EHLO client.example")
    return driver


def test_space_after_colon() -> None:
    driver = quirky(Quirk.SPACE_AFTER_COLON)
    assert driver.codes("MAIL FROM:   <a@client.example>", "RCPT TO: <b@example.org>", "RCPT TO: c@example.org") == [
        "250", "250", "501",
    ]  # fmt: skip
    assert driver.seen(Deviation) == [Deviation(Quirk.SPACE_AFTER_COLON)] * 3


def test_missing_brackets() -> None:
    driver = quirky(Quirk.MISSING_BRACKETS)
    lines = ["MAIL FROM:a@client.example", "RCPT TO:b@example.org", "RCPT TO: c@example.org", "RCPT TO:d@e>"]
    assert driver.codes(*lines) == ["250", "250", "501", "501"]
    assert [str(event.path) for event in driver.seen(MailFrom, RcptTo)] == ["a@client.example", "b@example.org"]
    assert set(driver.seen(Deviation)) == {Deviation(Quirk.MISSING_BRACKETS)}


def test_both_at_once() -> None:
    driver = quirky(Quirk.MISSING_BRACKETS, Quirk.SPACE_AFTER_COLON)
    assert (
        driver.codes("MAIL FROM: a@client.example", "RCPT TO: b@example.org", "RCPT TO: <c@example.org>") == ["250"] * 3
    )


def test_odd_hello() -> None:
    driver = quirky(Quirk.ODD_HELLO)
    assert driver.codes("EHLO under_score") == ["250"]
    assert driver.codes("EHLO") == ["250"]
    assert driver.codes("HELO two words") == ["250"]
    assert [code[:3] for code in codes(driver.feed(b"EHLO \x07\r\n") + driver.feed(b"EHLO \xc3\xbc\r\n"))] == [
        "501",
        "500",
    ]
    assert [event.host for event in driver.seen(Hello)] == ["under_score", "", "two words"]
    assert driver.seen(Deviation) == [Deviation(Quirk.ODD_HELLO)] * 3


def test_odd_hello_in_utf_8() -> None:
    driver = Driver(config(quirks=frozenset({Quirk.ODD_HELLO})))
    assert codes(driver.feed("EHLO ü\r\n".encode())) == ["501 5.5.4"]


def test_bare_lf_is_reported_each_time() -> None:
    driver = quirky(Quirk.BARE_LF)
    assert codes(driver.feed(b"NOOP\nNOOP\r\nRSET\n")) == ["250"] * 3
    assert driver.seen(Deviation) == [Deviation(Quirk.BARE_LF)] * 2


@pytest.mark.parametrize("quirk", Quirk)
def test_a_quirk_is_off_unless_said(quirk: Quirk) -> None:
    driver = Driver(config(extensions=()))
    sent = {
        Quirk.BARE_LF: b"EHLO client.example\n\r\n",
        Quirk.ODD_HELLO: b"EHLO under_score\r\n",
        Quirk.SPACE_AFTER_COLON: b"MAIL FROM: <>\r\n",
        Quirk.MISSING_BRACKETS: b"MAIL FROM:a@b\r\n",
    }[quirk]
    if sent.startswith(b"MAIL"):
        driver.say("EHLO client.example")
    assert codes(driver.feed(sent))[0][0] == "5"
    assert not driver.seen(Deviation)
