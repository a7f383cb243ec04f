from base64 import b64decode
from collections.abc import Mapping

import pytest
from hypothesis import given, strategies as st
from sasl_play import EMPTY, Application, Question, converse, play, play_client
from sasl_texts import NO_NAMES, NO_TOKENS, TEXT, TOKEN

from smtpcore._errors import LocalProtocolError
from smtpcore._events import Identity, TokenCheck
from smtpcore._secret import Secret
from smtpcore.sasl import (
    OAUTHBEARER,
    BadAnswer,
    BadChallenge,
    Challenge,
    ClientMechanism,
    OAuthBearer,
    OAuthBearerClient,
    ServerMechanism,
    Strength,
    saslprep,
)

MECHANISM: ServerMechanism = OAUTHBEARER

# RFC 7628 4.1
ANSWER = b64decode(
    "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52"
    "YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
)
CHECK = TokenCheck("OAUTHBEARER", "user@example.com", Secret("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="))
# RFC 7628 4.3
ERROR = Challenge(
    b64decode(
        "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNvbmZpZ3VyYXRpb24iOiJodHRw"
        "czovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1cmF0aW9uIn0="
    )
)
RFC = OAuthBearer(scope="example_scope", openid_configuration="https://example.com/.well-known/openid-configuration")


def test_offer() -> None:
    assert (MECHANISM.name, MECHANISM.initial, MECHANISM.available(None)) == ("OAUTHBEARER", True, True)


def test_rfc7628_4_1_example() -> None:
    assert ANSWER.startswith(b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9")
    assert play(OAUTHBEARER.start(None), (EMPTY, ANSWER), (CHECK, True)) == Identity("user@example.com")


def test_refused_token() -> None:
    assert play(RFC.start(None), (EMPTY, ANSWER), (CHECK, False), (ERROR, b"\x01")) is None


# Without a token, or a name to go with it, the application is not asked.
@pytest.mark.parametrize(
    "answer",
    [
        # RFC 7628 4.3
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=\x01\x01",
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\x01",
        b"n,a=user@example.com,\x01\x01",
        b"n,a=user@example.com,\x01auth=MAC t\x01\x01",
        b"n,a=user@example.com,\x01authority=Bearer t\x01\x01",
        b"n,,\x01auth=Bearer t\x01\x01",
    ],
)
def test_nothing_to_check(answer: bytes) -> None:
    assert play(RFC.start(None), (EMPTY, answer), (ERROR, b"\x01")) is None


@pytest.mark.parametrize(
    "answer",
    [
        b"y,a=tim,\x01auth=Bearer t\x01\x01",
        b"n,a=tim,\x01other=\t\r\n ~=\x01auth=Bearer t\x01Auth=x\x01\x01",
        "n,a=t\u00adim,\x01auth=bearer t\x01\x01".encode(),
    ],
)
def test_forms(answer: bytes) -> None:
    check = TokenCheck("OAUTHBEARER", "tim", Secret("t"))
    assert play(OAUTHBEARER.start(None), (EMPTY, answer), (check, True)) == Identity("tim")


def test_escaped_name() -> None:
    check = TokenCheck("OAUTHBEARER", "a,b=c", Secret("t"))
    answer = b"n,a=a=2Cb=3Dc,\x01auth=Bearer t\x01\x01"
    assert play(OAUTHBEARER.start(None), (EMPTY, answer), (check, True)) == Identity("a,b=c")


@pytest.mark.catalogue("D8")
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x01",
        b"n,a=tim,",
        b"n,a=tim,auth=Bearer t\x01\x01",
        b"n,a=tim,\x01auth=Bearer t\x01",
        b"n,a=tim,\x01auth=Bearer t\x01\x01\x01",
        b"n,a=tim,\x01auth\x01\x01",
        b"n,a=tim,\x01=Bearer t\x01\x01",
        b"n,a=tim,\x01a1=x\x01auth=Bearer t\x01\x01",
        b"n,a=tim,\x01host=\0\x01auth=Bearer t\x01\x01",
        "n,a=tim,\x01host=é\x01auth=Bearer t\x01\x01".encode(),
        b"n,a=tim,\x01auth=Bearer t\x01auth=Bearer u\x01\x01",
        # nothing is bound
        b"p=tls-server-end-point,a=tim,\x01auth=Bearer t\x01\x01",
        b"x,a=tim,\x01auth=Bearer t\x01\x01",
        # names
        b"n,a=,\x01auth=Bearer t\x01\x01",
        b"n,a=a=b,\x01auth=Bearer t\x01\x01",
        b"n,a=a=2c,\x01auth=Bearer t\x01\x01",
        b"n,a=a\0,\x01auth=Bearer t\x01\x01",
        b"n,user=tim,\x01auth=Bearer t\x01\x01",
        b"n,tim,\x01auth=Bearer t\x01\x01",
        b"n,a=tim\x01auth=Bearer t\x01\x01",
        b"n,a=tim\x01auth=Bearer t\x01,\x01\x01",
        b"n,a=no\r\nbody,\x01auth=Bearer t\x01\x01",
        b"n,a=t\xefm,\x01auth=Bearer t\x01\x01",
    ],
)
def test_bad_answer(answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        play(OAUTHBEARER.start(None), (EMPTY, answer))


# --- the client ----------------------------------------------------------------------------------

CLIENT: ClientMechanism = OAuthBearerClient("user@example.com", CHECK.token, "server.example.com", 143)


def test_client() -> None:
    assert (CLIENT.name, CLIENT.strength, CLIENT.available(None)) == ("OAUTHBEARER", Strength.REVEALED, True)


def test_client_in_rfc7628_4_1_example() -> None:
    play_client(CLIENT.start(None), (ANSWER, None))


def test_client_names_no_server() -> None:
    play_client(OAuthBearerClient("a,b=c", Secret("t")).start(None), (b"n,a=a=2Cb=3Dc,\x01auth=Bearer t\x01\x01", None))


# RFC 7628 3.2.3: the client answers with %x01, and the server fails it; that it then goes on is bad.
@pytest.mark.parametrize("sent", [None, b""])
@pytest.mark.parametrize("challenge", [ERROR.octets, b"", b"\xff", b"what?"])
def test_client_is_refused(challenge: bytes, sent: bytes | None) -> None:
    with pytest.raises(BadChallenge):
        play_client(CLIENT.start(None), (ANSWER, challenge), (b"\x01", sent))


def test_client_is_told_why() -> None:
    told: list[Mapping[str, str]] = []
    exchange = OAuthBearerClient("user@example.com", CHECK.token, "server.example.com", 143, told.append).start(None)
    assert converse(exchange, RFC.start(None), lambda question: False) is None
    url = "https://example.com/.well-known/openid-configuration"
    assert told == [{"status": "invalid_token", "scope": "example_scope", "openid-configuration": url}]


@given(TEXT, TOKEN, st.none() | st.sampled_from(["a", "x" * 255]), st.none() | st.sampled_from([1, 65535]))
def test_client_and_server(username: str, token: str, host: str | None, port: int | None) -> None:
    asked: list[Question] = []
    exchange = OAuthBearerClient(username, Secret(token), host, port).start(None)
    identity = converse(exchange, OAUTHBEARER.start(None), Application(True, asked))
    assert asked == [TokenCheck("OAUTHBEARER", saslprep(username), Secret(token))]
    assert identity == Identity(saslprep(username))


@pytest.mark.catalogue("B5", "D8")
@pytest.mark.parametrize("name", NO_NAMES)
def test_client_with_bad_name(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        OAuthBearerClient(name, Secret("x"))


@pytest.mark.catalogue("B5")
@pytest.mark.parametrize("token", NO_TOKENS)
def test_client_with_bad_token(token: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        OAuthBearerClient("tim", Secret(token))


@pytest.mark.catalogue("B5")
@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("", 25),
        ("a b", 25),
        ("a\x01auth=Bearer x", 25),
        ("a\r\n", 25),
        ("é", 25),
        ("x" * 256, 25),
        ("a", 0),
        ("a", 65536),
        ("a", -1),
    ],
)
def test_client_with_bad_server(host: str, port: int) -> None:
    with pytest.raises(LocalProtocolError):
        OAuthBearerClient("tim", Secret("t"), host, port)
