from base64 import b64decode

import pytest
from sasl_play import EMPTY, play

from smtpcore._events import Identity, TokenCheck
from smtpcore._secret import Secret
from smtpcore.sasl import OAUTHBEARER, BadAnswer, Challenge, OAuthBearer, ServerMechanism

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
