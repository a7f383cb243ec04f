import pytest
from sasl_play import EMPTY, Application, Question, converse, play, play_client

from smtpcore._errors import LocalProtocolError
from smtpcore._events import Identity, TokenCheck
from smtpcore._secret import Secret
from smtpcore.sasl import (
    ANONYMOUS,
    Anonymous,
    AnonymousClient,
    BadAnswer,
    BadChallenge,
    ClientMechanism,
    ServerMechanism,
    Strength,
)

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


# --- the client ----------------------------------------------------------------------------------

CLIENT: ClientMechanism = AnonymousClient()


def test_client() -> None:
    assert (CLIENT.name, CLIENT.strength, CLIENT.available(None)) == ("ANONYMOUS", Strength.ANONYMOUS, True)
    play_client(CLIENT.start(None), (b"", None))


@pytest.mark.parametrize("trace", ["", "sirhc", "sirhc@example.com", "\u00aa \u00a0", "\U00020000" * 255])
def test_client_and_server(trace: str) -> None:
    asked: list[Question] = []
    exchange = AnonymousClient(trace).start(None)
    identity = converse(exchange, ANONYMOUS.start(None), Application(True, asked))
    assert asked == [TokenCheck("ANONYMOUS", trace, Secret(b""))]
    assert identity == Identity("anonymous")


def test_client_is_answered_badly() -> None:
    with pytest.raises(BadChallenge):
        play_client(AnonymousClient("sirhc").start(None), (b"sirhc", b""))


@pytest.mark.catalogue("B5", "D8")
@pytest.mark.parametrize("trace", ["x" * 256, "si\r\nrhc", "sirhc\0", "\u202esirhc", "\ud800"])
def test_client_with_bad_trace(trace: str) -> None:
    with pytest.raises(LocalProtocolError):
        AnonymousClient(trace)
