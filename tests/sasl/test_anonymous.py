import pytest
from sasl_play import EMPTY, play

from smtpcore._events import Identity, TokenCheck
from smtpcore._secret import Secret
from smtpcore.sasl import ANONYMOUS, Anonymous, BadAnswer, ServerMechanism

MECHANISM: ServerMechanism = ANONYMOUS


def test_offer() -> None:
    assert (MECHANISM.name, MECHANISM.initial, MECHANISM.available(None)) == ("ANONYMOUS", True, True)


# The first is the example of RFC 4505 4.
@pytest.mark.parametrize("trace", ["sirhc", "", "sirhc@example.com", "\u00aa \u00a0", "x" * 255])
@pytest.mark.parametrize(("verdict", "identity"), [(True, Identity("anonymous")), (False, None)])
def test_exchange(trace: str, verdict: bool, identity: Identity | None) -> None:
    check = TokenCheck("ANONYMOUS", trace, Secret(b""))
    assert play(ANONYMOUS.start(None), (EMPTY, trace.encode()), (check, verdict)) == identity


def test_name_of_the_server_s_choice() -> None:
    check = TokenCheck("ANONYMOUS", "postmaster", Secret(b""))
    assert play(Anonymous(username="guest").start(None), (EMPTY, b"postmaster"), (check, True)) == Identity("guest")


@pytest.mark.catalogue("D8")
@pytest.mark.parametrize("answer", [b"x" * 256, b"si\r\nrhc", b"sirhc\0", b"s\xefrhc", "\u202esirhc".encode()])
def test_bad_answer(answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        play(ANONYMOUS.start(None), (EMPTY, answer))
