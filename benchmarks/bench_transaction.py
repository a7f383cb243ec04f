"""Whole transactions: 2 KB to one recipient, and to 100; the envelope in one group."""

from collections.abc import Callable

import pytest
from _subjects import Aiosmtpd, engine

_COUNT = 20
_BODY = (b"x" * 70 + b"\r\n") * 28 + b".\r\n"


def _envelope(recipients: int) -> bytes:
    rcpt = b"".join(b"RCPT TO:<user%d@example.org>\r\n" % number for number in range(recipients))
    return b"MAIL FROM:<alice@example.com> SIZE=2048\r\n" + rcpt + b"DATA\r\n"


@pytest.mark.parametrize("recipients", [1, 100])
def test_transaction(recipients: int, measure: Callable[..., None]) -> None:
    feed = engine()
    envelope = _envelope(recipients)

    def run() -> None:
        for _ in range(_COUNT):
            feed(envelope)
            feed(_BODY)

    measure(f"2 KB, recipients: {recipients}", "engine", run, count=_COUNT, unit="transaction")


@pytest.mark.parametrize("recipients", [1, 100])
def test_transaction_aiosmtpd(recipients: int, measure: Callable[..., None]) -> None:
    session = Aiosmtpd()
    envelope = _envelope(recipients)

    def run() -> None:
        for _ in range(_COUNT):
            session.feed(envelope, recipients + 2)
            session.feed(_BODY, 1)

    measure(f"2 KB, recipients: {recipients}", "aiosmtpd", run, count=_COUNT, unit="transaction")
    session.close()
