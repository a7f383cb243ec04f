import pytest
from sasl_play import EMPTY, play

from smtpcore._events import Identity, TlsInfo, TokenCheck
from smtpcore._secret import Secret
from smtpcore.sasl import EXTERNAL, BadAnswer, ServerMechanism

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
