import pytest
from hypothesis import given, strategies as st
from sasl_play import EMPTY, Application, Question, converse, play, play_client
from sasl_texts import NO_NAMES, TEXT

from smtpcore._errors import LocalProtocolError
from smtpcore._events import Identity, TlsInfo, TokenCheck
from smtpcore._secret import Secret
from smtpcore.sasl import (
    EXTERNAL,
    BadAnswer,
    BadChallenge,
    ClientMechanism,
    ExternalClient,
    ServerMechanism,
    Strength,
    saslprep,
)

MECHANISM: ServerMechanism = EXTERNAL
TLS = TlsInfo(client_subject="tim@example.com")


@pytest.mark.parametrize(
    ("tls", "available"), [(None, False), (TlsInfo(), False), (TlsInfo(client_subject=""), False), (TLS, True)]
)
def test_offer(tls: TlsInfo | None, available: bool) -> None:
    assert (MECHANISM.name, MECHANISM.initial, MECHANISM.available(tls)) == ("EXTERNAL", True, available)


@pytest.mark.parametrize("answer", [b"", b"tim@example.com"])
@pytest.mark.parametrize(("verdict", "identity"), [(True, Identity("tim@example.com")), (False, None)])
def test_as_itself(answer: bytes, verdict: bool, identity: Identity | None) -> None:
    check = TokenCheck("EXTERNAL", "tim@example.com", Secret(b""))
    assert play(EXTERNAL.start(TLS), (EMPTY, answer), (check, verdict)) == identity


# RFC 4422 A.4: EXTERNAL with the authorization identity fred@example.com
@pytest.mark.catalogue("D9")
@pytest.mark.parametrize(
    ("verdict", "identity"), [(True, Identity("fred@example.com", authenticated_as="tim@example.com")), (False, None)]
)
def test_rfc4422_a4_second_example(verdict: bool, identity: Identity | None) -> None:
    check = TokenCheck("EXTERNAL", "tim@example.com", Secret(b""), authzid="fred@example.com")
    assert play(EXTERNAL.start(TLS), (EMPTY, b"fred@example.com"), (check, verdict)) == identity


@pytest.mark.parametrize("tls", [None, TlsInfo(), TlsInfo(client_subject="")])
def test_nothing_without_a_certificate(tls: TlsInfo | None) -> None:
    assert play(EXTERNAL.start(tls), (EMPTY, b"fred@example.com")) is None


@pytest.mark.catalogue("D8")
@pytest.mark.parametrize("answer", [b"\0", b"fred\r\n", b"fr\xe9d", "\u00ad".encode()])
def test_bad_answer(answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        play(EXTERNAL.start(TLS), (EMPTY, answer))


# --- the client ----------------------------------------------------------------------------------

CLIENT: ClientMechanism = ExternalClient()


def test_client() -> None:
    assert (CLIENT.name, CLIENT.strength) == ("EXTERNAL", Strength.BOUND)
    assert not CLIENT.available(None)
    assert CLIENT.available(TlsInfo())


# RFC 4422 A.4
@pytest.mark.parametrize(("authzid", "said"), [(None, b""), ("fred@example.com", b"fred@example.com")])
def test_client_says(authzid: str | None, said: bytes) -> None:
    play_client(ExternalClient(authzid).start(TLS), (said, None))
    with pytest.raises(BadChallenge):
        play_client(ExternalClient(authzid).start(TLS), (said, b""))


@given(st.none() | TEXT)
def test_client_and_server(authzid: str | None) -> None:
    asked: list[Question] = []
    exchange = ExternalClient(authzid).start(TLS)
    identity = converse(exchange, EXTERNAL.start(TLS), Application(True, asked))
    other = None if authzid is None else saslprep(authzid)
    assert asked == [TokenCheck("EXTERNAL", "tim@example.com", Secret(b""), authzid=other)]
    assert identity == Identity(other or "tim@example.com", authenticated_as="tim@example.com" if other else None)


@pytest.mark.catalogue("B5", "D8")
@pytest.mark.parametrize("name", NO_NAMES)
def test_client_with_bad_name(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        ExternalClient(name)
