from base64 import b64decode

import pytest
from sasl_play import EMPTY, play

from smtpcore._events import Identity, TokenCheck
from smtpcore._secret import Secret
from smtpcore.sasl import XOAUTH2, BadAnswer, Challenge, ServerMechanism, XOAuth2

MECHANISM: ServerMechanism = XOAUTH2

# The example in Google's "OAuth 2.0 Mechanism"
ANSWER = b64decode(
    "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0"
    "Q2cBAQ=="
)
CHECK = TokenCheck("XOAUTH2", "someuser@example.com", Secret("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"))


def test_offer() -> None:
    assert (MECHANISM.name, MECHANISM.initial, MECHANISM.available(None)) == ("XOAUTH2", True, True)


def test_google_s_example() -> None:
    assert play(XOAUTH2.start(None), (EMPTY, ANSWER), (CHECK, True)) == Identity("someuser@example.com")


def test_refused_token() -> None:
    mechanism = XOAuth2(scope="https://mail.google.com/")
    error = Challenge(b'{"status":"401","schemes":"bearer","scope":"https://mail.google.com/"}')
    assert play(mechanism.start(None), (EMPTY, ANSWER), (CHECK, False), (error, b"")) is None


# What cannot be a token is nobody's, and the application is not asked.
@pytest.mark.parametrize("auth", ["", "Bearer", "Bearer ", "Basic dGltOnRhbnN0YWFm", "Bearer é"])
def test_no_token(auth: str) -> None:
    answer = f"user=tim\x01auth={auth}\x01\x01".encode()
    error = Challenge(b'{"status":"401","schemes":"bearer"}')
    assert play(XOAUTH2.start(None), (EMPTY, answer), (error, b"")) is None


@pytest.mark.catalogue("D8")
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x01",
        b"user=tim",
        b"user=tim\x01\x01",
        b"user=\x01auth=Bearer t\x01\x01",
        b"user=tim\x01auth=Bearer t\x01",
        b"user=tim\x01auth=Bearer t\x01\x01\x01",
        b"user=tim\x01auth=Bearer t\x01host=x\x01\x01",
        b"auth=Bearer t\x01user=tim\x01\x01",
        b"user=no\r\nbody\x01auth=Bearer t\x01\x01",
        b"user=t\xefm\x01auth=Bearer t\x01\x01",
        b"n,a=tim,\x01auth=Bearer t\x01\x01",
    ],
)
def test_bad_answer(answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        play(XOAUTH2.start(None), (EMPTY, answer))
