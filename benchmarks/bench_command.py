"""A command through the engine: parsed, told, answered, replied to. Pipelined, and one a read."""

from collections.abc import Callable, Iterator

import pytest
from _subjects import Aiosmtpd, engine

_COUNT = 500
_COMMANDS = {"NOOP": b"NOOP\r\n", "RCPT": b"RCPT TO:<someone@example.org>\r\n"}
_MAIL = b"MAIL FROM:<alice@example.com>\r\n"


@pytest.fixture
def aiosmtpd() -> Iterator[Aiosmtpd]:
    session = Aiosmtpd()
    yield session
    session.close()


@pytest.mark.parametrize("verb", _COMMANDS)
def test_pipelined(verb: str, measure: Callable[..., None]) -> None:
    feed = engine()
    feed(_MAIL)
    group = _COMMANDS[verb] * _COUNT

    def run() -> None:
        feed(b"RSET\r\n" + _MAIL)
        feed(group)

    measure(f"{verb}, pipelined", "engine", run, count=_COUNT + 2, unit="command")


@pytest.mark.parametrize("verb", _COMMANDS)
def test_one_a_read(verb: str, measure: Callable[..., None]) -> None:
    feed = engine()
    command = _COMMANDS[verb]

    def run() -> None:
        feed(b"RSET\r\n" + _MAIL)
        for _ in range(_COUNT):
            feed(command)

    measure(f"{verb}, one a read", "engine", run, count=_COUNT + 2, unit="command")


@pytest.mark.parametrize("verb", _COMMANDS)
def test_pipelined_aiosmtpd(verb: str, measure: Callable[..., None], aiosmtpd: Aiosmtpd) -> None:
    group = _COMMANDS[verb] * _COUNT

    def run() -> None:
        aiosmtpd.feed(b"RSET\r\n" + _MAIL, 2)
        aiosmtpd.feed(group, _COUNT)

    measure(f"{verb}, pipelined", "aiosmtpd", run, count=_COUNT + 2, unit="command")


@pytest.mark.parametrize("verb", _COMMANDS)
def test_one_a_read_aiosmtpd(verb: str, measure: Callable[..., None], aiosmtpd: Aiosmtpd) -> None:
    command = _COMMANDS[verb]

    def run() -> None:
        aiosmtpd.feed(b"RSET\r\n" + _MAIL, 2)
        for _ in range(_COUNT):
            aiosmtpd.feed(command, 1)

    measure(f"{verb}, one a read", "aiosmtpd", run, count=_COUNT + 2, unit="command")
