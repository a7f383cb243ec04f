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
    XOAUTH2,
    BadAnswer,
    BadChallenge,
    Challenge,
    ClientMechanism,
    ServerMechanism,
    Strength,
    XOAuth2,
    XOAuth2Client,
    saslprep,
)

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


# --- the client ----------------------------------------------------------------------------------

CLIENT: ClientMechanism = XOAuth2Client("someuser@example.com", CHECK.token)


def test_client() -> None:
    assert (CLIENT.name, CLIENT.strength, CLIENT.available(None)) == ("XOAUTH2", Strength.REVEALED, True)


def test_client_in_google_s_example() -> None:
    play_client(CLIENT.start(None), (ANSWER, None))


# The server says why, the client nothing, and the server fails it; that it then goes on is bad.
@pytest.mark.parametrize("sent", [None, b""])
@pytest.mark.parametrize("challenge", [b'{"status":"401"}', b"", b"\xff", b"what?"])
def test_client_is_refused(challenge: bytes, sent: bytes | None) -> None:
    with pytest.raises(BadChallenge):
        play_client(CLIENT.start(None), (ANSWER, challenge), (b"", sent))


@given(TEXT, TOKEN, st.booleans())
def test_client_and_server(username: str, token: str, verdict: bool) -> None:
    asked: list[Question] = []
    told: list[Mapping[str, str]] = []
    exchange = XOAuth2Client(username, Secret(token), told.append).start(None)
    identity = converse(exchange, XOAUTH2.start(None), Application(verdict, asked))
    assert asked == [TokenCheck("XOAUTH2", saslprep(username), Secret(token))]
    assert identity == (Identity(saslprep(username)) if verdict else None)
    assert told == ([] if verdict else [{"status": "401", "schemes": "bearer"}])


@pytest.mark.catalogue("B5", "D8")
@pytest.mark.parametrize("name", [*NO_NAMES, "tim\x01auth=Bearer x\x01\x01"])
def test_client_with_bad_name(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        XOAuth2Client(name, Secret("x"))


@pytest.mark.catalogue("B5")
@pytest.mark.parametrize("token", NO_TOKENS)
def test_client_with_bad_token(token: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        XOAuth2Client("tim", Secret(token))
