"""The lesser extensions: what each offers, takes and refuses, and that it does not exist where it is not enabled."""

from typing import Any

import pytest
from _dialogue import HOSTNAME, PEER, TLS, Driver, config, play

from smtpcore import (
    DeliverBy,
    Extended,
    Extension,
    Limits,
    MailFrom,
    Peer,
    Phase,
    RcptTo,
    RequireRecipientValidSince,
    XClient,
)
from smtpcore.extensions import (
    AUTH,
    ETRN,
    LIMITS,
    MT_PRIORITY,
    REQUIRETLS,
    RRVS,
    deliver_by,
    future_release,
    no_soliciting,
    xclient,
    xforward,
)
from smtpcore.sasl import PLAIN

TRUSTED = Peer("192.0.2.1")
SYNTAX = "501 Syntax: MAIL FROM:<address> [parameters]"


def greeted(offer: str) -> str:
    return f"""
        C: EHLO client.example
        S: 250-{HOSTNAME}
        S: 250 {offer}
    """


def only(extension: Extension, **changes: Any) -> Any:
    return config(extensions=(extension,), **changes)


@pytest.mark.parametrize(
    ("command", "params"),
    [
        ("MAIL FROM:<>", ["REQUIRETLS", "MT-PRIORITY=3", "HOLDFOR=1", "HOLDUNTIL=2030-01-01T00:00:00Z", "BY=120;R",
                          "SOLICIT=org.example:ADV"]),
        ("RCPT TO:<a@example.org>", ["RRVS=2014-04-03T23:01:00Z"]),
    ],
)  # fmt: skip
def test_parameters_of_extensions_that_are_not_enabled(command: str, params: list[str]) -> None:
    driver = Driver(config(extensions=()), tls=TLS)
    driver.say("EHLO client.example")
    if command.startswith("RCPT"):
        driver.say("MAIL FROM:<>")
    assert driver.codes(*(f"{command} {param}" for param in params)) == ["555"] * len(params)


def test_verbs_of_extensions_that_are_not_enabled() -> None:
    driver = Driver(config(extensions=()))
    driver.say("EHLO client.example")
    assert driver.codes("ETRN example.org", "XCLIENT NAME=a", "XFORWARD NAME=a") == ["502"] * 3


# --- RFC 8689, REQUIRETLS ---------------------------------------------------------------------------


def test_requiretls_within_tls() -> None:
    driver = play(
        greeted("REQUIRETLS")
        + f"""
        C: MAIL FROM:<roger@example.org> REQUIRETLS=1
        S: {SYNTAX}
        C: MAIL FROM:<roger@example.org> REQUIRETLS
        S: 250 Sender ok
        C: RCPT TO:<editor@example.net>
        S: 250 Recipient ok
        """,
        only(REQUIRETLS),
        tls=TLS,
    )
    assert driver.seen(MailFrom)[0].params.requiretls


def test_requiretls_in_the_clear() -> None:
    # RFC 8689 section 2: offered only over TLS
    play(
        """
        C: EHLO client.example
        S: 250 mx.example.org
        C: MAIL FROM:<roger@example.org> REQUIRETLS
        S: 555 Unsupported parameter: REQUIRETLS
        """,
        only(REQUIRETLS),
    )


# --- RFC 6710, MT-PRIORITY --------------------------------------------------------------------------


def test_mt_priority() -> None:
    driver = play(
        greeted("MT-PRIORITY")
        + f"""
        C: MAIL FROM:<eljefe@example.net> MT-PRIORITY=6
        S: 250 Sender ok
        C: RSET
        S: 250 Ok
        C: MAIL FROM:<eljefe@example.net> MT-PRIORITY=-9
        S: 250 Sender ok
        C: RSET
        S: 250 Ok
        C: MAIL FROM:<eljefe@example.net> MT-PRIORITY=10
        S: {SYNTAX}
        C: MAIL FROM:<eljefe@example.net> MT-PRIORITY=-0
        S: {SYNTAX}
        C: MAIL FROM:<eljefe@example.net> MT-PRIORITY=+1
        S: {SYNTAX}
        C: MAIL FROM:<eljefe@example.net>
        S: 250 Sender ok
        C: RCPT TO:<topbanana@example.net> MT-PRIORITY=6
        S: 555 Unsupported parameter: MT-PRIORITY
        """,
        only(MT_PRIORITY),
    )
    assert [event.params.priority for event in driver.seen(MailFrom)] == [6, -9, None]


# --- RFC 4865, FUTURERELEASE ------------------------------------------------------------------------


def test_future_release() -> None:
    driver = play(
        greeted("FUTURERELEASE 2592000 2030-01-01T00:00:00Z")
        + f"""
        C: MAIL FROM:<a@client.example> HOLDFOR=86400
        S: 250 Sender ok
        C: RSET
        S: 250 Ok
        C: MAIL FROM:<a@client.example> HOLDUNTIL=2027-05-12T13:00:00Z
        S: 250 Sender ok
        C: RSET
        S: 250 Ok
        C: MAIL FROM:<a@client.example> HOLDFOR=86400 HOLDUNTIL=2027-05-12T13:00:00Z
        S: 501 HOLDFOR and HOLDUNTIL exclude each other
        C: MAIL FROM:<a@client.example> HOLDFOR=2592001
        S: 501 The hold is longer than permitted
        C: MAIL FROM:<a@client.example> HOLDFOR=-1
        S: {SYNTAX}
        C: MAIL FROM:<a@client.example> HOLDUNTIL=tomorrow
        S: {SYNTAX}
        """,
        only(future_release(2_592_000, "2030-01-01T00:00:00Z")),
    )
    first, second = driver.seen(MailFrom)
    assert (first.params.hold_for, second.params.hold_until) == (86400, "2027-05-12T13:00:00Z")


# --- RFC 2852, DELIVERBY ----------------------------------------------------------------------------


def test_deliver_by() -> None:
    driver = play(
        greeted("DELIVERBY 240")
        + f"""
        C: MAIL FROM:<eljefe@example.net> BY=240;R
        S: 250 Sender ok
        C: RSET
        S: 250 Ok
        C: MAIL FROM:<eljefe@example.net> BY=-10;NT
        S: 250 Sender ok
        C: RSET
        S: 250 Ok
        C: MAIL FROM:<eljefe@example.net> BY=0;R
        S: {SYNTAX}
        C: MAIL FROM:<eljefe@example.net> BY=240
        S: {SYNTAX}
        C: MAIL FROM:<eljefe@example.net>
        S: 250 Sender ok
        C: RCPT TO:<topbanana@example.net> BY=240;R
        S: 555 Unsupported parameter: BY
        """,
        only(deliver_by(240)),
    )
    assert [event.params.by for event in driver.seen(MailFrom)] == [
        DeliverBy(240, "R", False),
        DeliverBy(-10, "N", True),
        None,
    ]


def test_deliver_by_sooner_than_the_minimum() -> None:
    driver = Driver(only(deliver_by(240)))
    driver.say("EHLO client.example")
    (code,) = driver.codes("MAIL FROM:<a@client.example> BY=239;R")
    assert code.startswith("5")
    assert driver.codes("MAIL FROM:<a@client.example> BY=239;N") == ["250"]


# --- RFC 7293, RRVS ---------------------------------------------------------------------------------


def test_rrvs() -> None:
    driver = play(
        greeted("RRVS")
        + """
        C: MAIL FROM:<someone@example.org>
        S: 250 Sender ok
        C: RCPT TO:<bob@example.com> RRVS=2014-04-03T23:01:00Z
        S: 250 Recipient ok
        C: RCPT TO:<bob@example.com> RRVS=2014-04-03T23:01:00Z;C
        A: RcptTo reject 550 5.7.17 Mailbox owner has changed
        S: 550 Mailbox owner has changed
        C: RCPT TO:<bob@example.com> RRVS=2014-02-30T23:01:00Z
        S: 501 Syntax: RCPT TO:<address> [parameters]
        C: RCPT TO:<bob@example.com> RRVS=2014-04-03T23:01:00Z;X
        S: 501 Syntax: RCPT TO:<address> [parameters]
        """,
        only(RRVS),
    )
    assert [event.params.rrvs for event in driver.seen(RcptTo)] == [
        RequireRecipientValidSince("2014-04-03T23:01:00Z", "R"),
        RequireRecipientValidSince("2014-04-03T23:01:00Z", "C"),
    ]


# --- RFC 1985, ETRN ---------------------------------------------------------------------------------


def test_etrn() -> None:
    driver = play(
        """
        C: ETRN example.org
        S: 503 Bad sequence of commands
        """
        + greeted("ETRN")
        + """
        C: ETRN mystery.example
        S: 250 Queuing started
        C: ETRN #uucp
        A: Extended accept 253 14 pending messages for node #uucp started
        S: 253 14 pending messages for node #uucp started
        C: ETRN @example.org
        A: Extended reject 458 Unable to queue messages for node @example.org
        S: 458 Unable to queue messages for node @example.org
        C: ETRN
        S: 501 Syntax: ETRN domain, @domain or #queue
        C: ETRN two names
        S: 501 Syntax: ETRN domain, @domain or #queue
        C: HELP ETRN
        S: 214 ETRN domain, @domain or #queue
        C: MAIL FROM:<>
        S: 250 Sender ok
        C: ETRN example.org
        S: 503 Bad sequence of commands
        """,
        only(ETRN),
    )
    assert driver.seen(Extended) == [
        Extended("ETRN", "mystery.example"),
        Extended("ETRN", "#uucp"),
        Extended("ETRN", "@example.org"),
    ]


# --- RFC 3865, NO-SOLICITING ------------------------------------------------------------------------


def test_no_soliciting() -> None:
    driver = play(
        greeted("NO-SOLICITING net.example:ADV")
        + f"""
        C: MAIL FROM:<coupon_clipper@moonlink.example.com> SOLICIT=org.example:ADV:ADLT
        S: 250 Sender ok
        C: RSET
        S: 250 Ok
        C: MAIL FROM:<save@example.com> SOLICIT=org.example:ADV:ADLT,net.example:ADV
        S: 550 Solicitation is not permitted: SOLICIT=net.example:ADV
        C: MAIL FROM:<save@example.com> SOLICIT=
        S: {SYNTAX}
        C: MAIL FROM:<save@example.com> SOLICIT=1,2
        S: {SYNTAX}
        """,
        only(no_soliciting("net.example:ADV")),
    )
    assert driver.seen(MailFrom)[0].params.solicit == ("org.example:ADV:ADLT",)


def test_no_soliciting_without_keywords() -> None:
    play(
        greeted("NO-SOLICITING")
        + """
        C: MAIL FROM:<save@example.com> SOLICIT=net.example:ADV
        S: 250 Sender ok
        """,
        only(no_soliciting()),
    )


# --- RFC 9422, LIMITS -------------------------------------------------------------------------------


def test_limits() -> None:
    play(greeted("LIMITS RCPTMAX=1000"), only(LIMITS))
    play(
        greeted("LIMITS RCPTMAX=100 MAILMAX=1")
        + """
        C: MAIL FROM:<>
        S: 250 Sender ok
        C: RSET
        S: 250 Ok
        C: MAIL FROM:<>
        S: 451 Too many messages on this connection
        """,
        only(LIMITS, limits=Limits(recipients=100, transactions=1)),
    )


# --- XCLIENT and XFORWARD ---------------------------------------------------------------------------


@pytest.mark.catalogue("F15")
def test_xclient() -> None:
    driver = play(
        greeted("XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT")
        + """
        C: XCLIENT NAME=spike.porcupine.org ADDR=168.100.189.2 LOGIN=[UNAVAILABLE]
        S: 220 mx.example.org ESMTP ready
        C: MAIL FROM:<>
        S: 503 Bad sequence of commands
        """
        + greeted("XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT")
        + """
        C: XCLIENT
        S: 501 Syntax: XCLIENT name=value [...]
        C: XCLIENT NAME=a NAME=b
        S: 501 Syntax: XCLIENT name=value [...]
        C: XCLIENT COLOUR=red
        S: 501 Syntax: XCLIENT name=value [...]
        C: XCLIENT NAME=a+0D+0Ab
        S: 501 Syntax: XCLIENT name=value [...]
        C: XCLIENT ADDR=192.0.2.2
        S: 220 mx.example.org ESMTP ready
        """,
        only(xclient(lambda peer: peer == TRUSTED)),
        peer=TRUSTED,
    )
    assert driver.seen(XClient)[0] == XClient({"NAME": "spike.porcupine.org", "ADDR": "168.100.189.2", "LOGIN": None})
    assert driver.conn.phase is Phase.HELLO
    assert driver.conn.hello is None


def test_xclient_refused() -> None:
    play(
        """
        C: XCLIENT ADDR=192.0.2.2
        A: XClient reject 550 Not for that one
        S: 550 Not for that one
        C: XCLIENT ADDR=192.0.2.2
        A: XClient accept 220 Hello, 192.0.2.2
        S: 220 Hello, 192.0.2.2
        C: XCLIENT ADDR=192.0.2.2
        A: XClient reject 421 Enough
        S: 421 Enough
        CLOSED
        """,
        only(xclient(lambda peer: True)),
    )


@pytest.mark.catalogue("F15")
@pytest.mark.parametrize("extension", [xclient(lambda peer: peer == TRUSTED), xforward(lambda peer: peer == TRUSTED)])
def test_from_a_stranger(extension: Extension) -> None:
    play(
        f"""
        C: EHLO client.example
        S: 250 mx.example.org
        C: {extension.keyword} ADDR=192.0.2.2
        S: 502 Command not implemented
        """,
        only(extension),
        peer=PEER,
    )


def test_xclient_forgets_who_has_authenticated() -> None:
    # Whom the front end speaks for next is somebody else.
    driver = Driver(
        config(
            extensions=(AUTH, xclient(lambda peer: True)), mechanisms=(PLAIN,), cleartext_auth=True, auth_required=True
        )
    )
    driver.say("EHLO client.example")
    driver.say("AUTH PLAIN AGEAYg==")
    driver.say("XCLIENT ADDR=192.0.2.2")
    assert driver.conn.identity is None
    driver.say("EHLO other.example")
    assert driver.codes("MAIL FROM:<>") == ["530"]


def test_xforward() -> None:
    driver = play(
        """
        C: XFORWARD ADDR=192.0.2.2
        S: 503 Bad sequence of commands
        """
        + greeted("XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE")
        + """
        C: XFORWARD NAME=spike.porcupine.org ADDR=168.100.189.2 PROTO=ESMTP
        S: 250 Ok
        C: XFORWARD IDENT=4711 SOURCE=[TEMPUNAVAIL]
        S: 250 Ok
        C: XFORWARD LOGIN=a
        S: 501 Syntax: XFORWARD name=value [...]
        C: MAIL FROM:<wietse@porcupine.org>
        S: 250 Sender ok
        C: XFORWARD ADDR=192.0.2.2
        S: 503 Bad sequence of commands
        """,
        only(xforward(lambda peer: True)),
    )
    assert driver.seen(Extended)[1] == Extended("XFORWARD", {"IDENT": "4711", "SOURCE": None})
