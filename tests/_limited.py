"""Servers with limits and deadlines of the test's own."""

from typing import Any

from _dialogue import Driver, accept_all, config

from smtpcore import (
    Limits,
    Phase,
    ServerConnection,
    ServerEvent,
    Timeouts,
)
from smtpcore.extensions import AUTH, CHUNKING, ETRN, PIPELINING, SIZE, STARTTLS
from smtpcore.sasl import LOGIN, PLAIN

EXTENSIONS = (PIPELINING, SIZE, CHUNKING, AUTH, STARTTLS, ETRN)


def server(answer: Any = accept_all, *, timeouts: Timeouts | None = None, now: float = 0.0, **limits: int) -> Driver:
    """A session that was greeted."""
    return Driver(
        config(
            extensions=EXTENSIONS,
            mechanisms=(PLAIN, LOGIN),
            cleartext_auth=True,
            limits=Limits(**limits),
            timeouts=timeouts or Timeouts(),
        ),
        answer=answer,
        now=now,
    )


def ready(**limits: int) -> Driver:
    """A session after EHLO."""
    driver = server(**limits)
    driver.say("EHLO client.example")
    return driver


def opened(**limits: int) -> Driver:
    """A session with a transaction that has a recipient."""
    driver = ready(**limits)
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    assert driver.conn.phase is Phase.RCPT
    return driver


def silent(conn: ServerConnection, event: ServerEvent) -> None:
    """Answer nothing."""
