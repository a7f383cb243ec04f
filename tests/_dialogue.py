"""What the tests of whole server sessions share: `smtpcore.testing`, for a server called mx.example.org."""

from typing import Any

from smtpcore import Phase, ServerConfig
from smtpcore.testing import (
    ACCEPTABLE,
    CONFIG,
    HOSTNAME,
    PEER,
    QUESTIONS,
    TLS,
    Answer,
    ServerDriver as Driver,
    accept_all,
    codes,
    joined,
    play_server as play,
)

__all__ = [
    "ACCEPTABLE",
    "CONFIG",
    "HOSTNAME",
    "PEER",
    "QUESTIONS",
    "TLS",
    "Answer",
    "Driver",
    "accept_all",
    "codes",
    "config",
    "in_data",
    "joined",
    "opened",
    "play",
    "ready",
]


def config(**changes: Any) -> ServerConfig:
    """A config of mx.example.org."""
    return ServerConfig(hostname=HOSTNAME, **changes)


def ready(**changes: Any) -> Driver:
    """A session after EHLO."""
    driver = Driver(config(**changes))
    driver.say("EHLO client.example")
    return driver


def opened(**changes: Any) -> Driver:
    """A session with a transaction that has a recipient."""
    driver = ready(**changes)
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    return driver


def in_data(**changes: Any) -> Driver:
    """A session in a message, by DATA."""
    driver = opened(**changes)
    driver.say("DATA")
    assert driver.conn.phase is Phase.BODY
    return driver
