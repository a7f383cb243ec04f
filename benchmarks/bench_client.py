"""Whole transactions of a client: 2 KB to one recipient, and to 100."""

from collections.abc import Callable

import pytest
from _clients import Aiosmtplib, by_smtplib, by_smtpproto, engine

_COUNT = 20
_CASES = [1, 100]


@pytest.mark.parametrize("recipients", _CASES)
def test_client(recipients: int, measure: Callable[..., None]) -> None:
    send = engine(recipients)

    def run() -> None:
        for _ in range(_COUNT):
            send()

    measure(f"client, 2 KB, recipients: {recipients}", "engine", run, count=_COUNT, unit="transaction")


@pytest.mark.parametrize("recipients", _CASES)
@pytest.mark.parametrize(
    ("name", "peer"), [("smtplib", by_smtplib), ("smtpproto", by_smtpproto)], ids=["smtplib", "smtpproto"]
)
def test_client_peer(
    name: str, peer: Callable[[int], Callable[[], None]], recipients: int, measure: Callable[..., None]
) -> None:
    send = peer(recipients)

    def run() -> None:
        for _ in range(_COUNT):
            send()

    measure(f"client, 2 KB, recipients: {recipients}", name, run, count=_COUNT, unit="transaction")


@pytest.mark.parametrize("recipients", _CASES)
def test_client_aiosmtplib(recipients: int, measure: Callable[..., None]) -> None:
    client = Aiosmtplib(recipients)
    measure(
        f"client, 2 KB, recipients: {recipients}",
        "aiosmtplib",
        lambda: client.send(_COUNT),
        count=_COUNT,
        unit="transaction",
    )
    client.close()
