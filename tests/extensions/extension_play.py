"""Sessions of a server with some extensions, and all the extensions that there are."""

from typing import Any, Final, Literal

from _dialogue import PEER, Answer, Driver, accept_all, config

from smtpcore import Extension, MailFrom, MailParams, Peer, RcptParams, RcptTo, TlsInfo
from smtpcore.extensions import (
    AUTH,
    BINARYMIME,
    CHUNKING,
    DSN,
    EIGHTBITMIME,
    ENHANCEDSTATUSCODES,
    ETRN,
    LIMITS,
    MT_PRIORITY,
    PIPELINING,
    REQUIRETLS,
    RRVS,
    SIZE,
    SMTPUTF8,
    STARTTLS,
    Param,
    deliver_by,
    future_release,
    no_soliciting,
    xclient,
    xforward,
)
from smtpcore.sasl import PLAIN

FRONT: Final = Peer("192.0.2.99", 40099)
"""The front end that XCLIENT and XFORWARD trust."""


def is_front(peer: Peer) -> bool:
    return peer == FRONT


ALL: Final = (
    PIPELINING, SIZE, EIGHTBITMIME, ENHANCEDSTATUSCODES, SMTPUTF8, CHUNKING, BINARYMIME, STARTTLS, AUTH, DSN, LIMITS,
    REQUIRETLS, RRVS, MT_PRIORITY, ETRN, future_release(86400, "2030-01-01T00:00:00Z"), deliver_by(60),
    no_soliciting("net.example:ADV"), xclient(is_front), xforward(is_front),
)  # fmt: skip

NEEDS_MORE: Final[dict[str, dict[str, Any]]] = {"AUTH": {"mechanisms": (PLAIN,), "cleartext_auth": True}}
"""What a config needs besides some of the extensions."""


def with_needs(extension: Extension) -> tuple[Extension, ...]:
    """*extension* and those that it needs."""
    return (*(each for each in ALL if each.keyword in extension.needs), extension)


def find(verb: Literal["MAIL", "RCPT"], keyword: str, *, of: str = "") -> Param:
    """The parameter *keyword* of the extension *of*, or of the first that has it."""
    return next(
        param
        for extension in ALL
        for param in extension.params
        if (param.verb, param.keyword) == (verb, keyword) and of in ("", extension.keyword)
    )


def connect(
    *extensions: Extension,
    tls: TlsInfo | None = None,
    peer: Peer = PEER,
    answer: Answer = accept_all,
    **settings: Any,
) -> Driver:
    """A session that is greeted, with *extensions* and enhanced status codes."""
    return Driver(config(extensions=(ENHANCEDSTATUSCODES, *extensions), **settings), tls=tls, peer=peer, answer=answer)


def offers(driver: Driver) -> list[str]:
    """What the reply to EHLO lists, besides ENHANCEDSTATUSCODES."""
    lines = driver.say("EHLO client.example").decode().split("\r\n")[1:-1]
    assert [line[:4] for line in lines] == ["250-"] * (len(lines) - 1) + ["250 "]
    return [line[4:] for line in lines if line[4:] != "ENHANCEDSTATUSCODES"]


def session(*extensions: Extension, **settings: Any) -> Driver:
    """A session whose client has said EHLO."""
    driver = connect(*extensions, **settings)
    offers(driver)
    return driver


def mail(params: str, *extensions: Extension, **settings: Any) -> tuple[str, MailParams | None]:
    """What a MAIL with *params* is answered, and as what it was put to the application."""
    driver = session(*extensions, **settings)
    (reply,) = driver.say(f"MAIL FROM:<a@b.example> {params}").decode().split("\r\n")[:-1]
    asked = driver.seen(MailFrom)
    return reply, asked[0].params if asked else None


def rcpt(params: str, *extensions: Extension, **settings: Any) -> tuple[str, RcptParams | None]:
    """What a RCPT with *params* is answered, and as what it was put to the application."""
    driver = session(*extensions, **settings)
    driver.say("MAIL FROM:<a@b.example>")
    (reply,) = driver.say(f"RCPT TO:<c@d.example> {params}").decode().split("\r\n")[:-1]
    asked = driver.seen(RcptTo)
    return reply, asked[0].params if asked else None


MAIL_OK: Final = "250 2.1.0 Sender ok"
RCPT_OK: Final = "250 2.1.5 Recipient ok"
MAIL_SYNTAX: Final = "501 5.5.4 Syntax: MAIL FROM:<address> [parameters]"
RCPT_SYNTAX: Final = "501 5.5.4 Syntax: RCPT TO:<address> [parameters]"
