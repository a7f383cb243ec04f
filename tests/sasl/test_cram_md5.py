import hmac
from collections.abc import Callable

import pytest
from hypothesis import given
from linearity import assert_linear
from sasl_play import converse, play, play_client
from sasl_texts import NO_NAMES, NO_PASSWORDS, TEXT

from smtpcore._errors import LocalProtocolError
from smtpcore._events import Identity, SecretWanted
from smtpcore._secret import Secret
from smtpcore.sasl import (
    CRAM_MD5,
    BadAnswer,
    BadChallenge,
    Challenge,
    ClientMechanism,
    CramMd5,
    CramMd5Client,
    ServerMechanism,
    Strength,
    saslprep,
)
from smtpcore.sasl._stored import StoredKey
from smtpcore.sasl.cram_md5 import _match_challenge

MECHANISM: ServerMechanism = CRAM_MD5
RFC = CramMd5(host="postoffice.reston.mci.net", nonce=lambda: "1896.697170952")
CHALLENGE = Challenge(b"<1896.697170952@postoffice.reston.mci.net>")
DIGEST = b"b913a602c7eda7a495b4e6e7334d3890"
KEY = StoredKey(password=Secret("tanstaaftanstaaf"))
WANTED = SecretWanted("CRAM-MD5", "tim")


def digest(password: bytes) -> bytes:
    return hmac.new(password, CHALLENGE.octets, "md5").hexdigest().encode()


def test_offer() -> None:
    assert (MECHANISM.name, MECHANISM.initial, MECHANISM.available(None)) == ("CRAM-MD5", False, True)


def test_rfc2195_2_example() -> None:
    assert play(RFC.start(None), (CHALLENGE, b"tim " + DIGEST), (WANTED, KEY)) == Identity("tim")


@pytest.mark.parametrize(
    ("password", "key"),
    [
        (b"tanstaaf", KEY),
        (b"tanstaaftanstaaf", None),
        # An unknown name is not one with an empty password.
        (b"", None),
        # A key of SCRAM has no password in it.
        (b"", StoredKey(b"salt", 4096, Secret(b"x"), Secret(b"y"))),
    ],
)
def test_failure(password: bytes, key: StoredKey | None) -> None:
    assert play(RFC.start(None), (CHALLENGE, b"tim " + digest(password)), (WANTED, key)) is None


def test_name_with_spaces() -> None:
    answer = "I\u00adX  or ".encode() + b" " + DIGEST
    assert play(RFC.start(None), (CHALLENGE, answer), (SecretWanted("CRAM-MD5", "IX  or "), KEY)) == Identity("IX  or ")


def test_challenge_is_new_each_time() -> None:
    challenges = {next(CRAM_MD5.start(None)) for _ in range(10)}
    assert len(challenges) == 10
    for challenge in challenges:
        assert isinstance(challenge, Challenge)
        # RFC 2195 2: the challenge has the form of a msg-id
        assert challenge.octets.startswith(b"<")
        assert challenge.octets.endswith(b"@localhost>")


@pytest.mark.catalogue("D8")
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"tim",
        b" " + DIGEST,
        DIGEST,
        b"tim " + DIGEST[:-1],
        b"tim " + DIGEST + b"0",
        b"tim " + DIGEST + b" ",
        b"tim " + DIGEST + b"\n",
        b"tim " + DIGEST.upper(),
        b"tim " + DIGEST[:-1] + b"g",
        b"tim " + DIGEST[:-1] + "٣".encode(),
        b"t\xefm " + DIGEST,
        b"no\r\nbody " + DIGEST,
    ],
)
def test_bad_answer(answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        play(RFC.start(None), (CHALLENGE, answer))


# --- the client ----------------------------------------------------------------------------------

CLIENT: ClientMechanism = CramMd5Client("tim", Secret("tanstaaftanstaaf"))


def test_client() -> None:
    assert (CLIENT.name, CLIENT.strength, CLIENT.available(None)) == ("CRAM-MD5", Strength.HASHED, True)


def test_client_in_rfc2195_2_example() -> None:
    play_client(CLIENT.start(None), (None, CHALLENGE.octets), (b"tim " + DIGEST, None))
    with pytest.raises(BadChallenge):
        play_client(CLIENT.start(None), (None, CHALLENGE.octets), (b"tim " + DIGEST, b""))


# That a server could have anything keyed with the password would be of use to it elsewhere.
@pytest.mark.parametrize(
    "challenge", [None, b"", b"<>", b"<a", b"a>", b"<a><b>", b"<a>\n", b"<a\0b>", b"<a\r\nb>", b"<\xe9>", b"x<a>"]
)
def test_client_is_challenged_badly(challenge: bytes | None) -> None:
    with pytest.raises(BadChallenge):
        play_client(CLIENT.start(None), (None, challenge))


@given(TEXT, TEXT, TEXT)
def test_client_and_server(username: str, password: str, kept: str) -> None:
    exchange = CramMd5Client(username, Secret(password)).start(None)
    identity = converse(exchange, CRAM_MD5.start(None), lambda question: StoredKey(password=Secret(kept)))
    # HMAC pads with NUL, which no password holds.
    assert identity == (Identity(saslprep(username)) if kept == password else None)
    exchange = CramMd5Client(username, Secret(kept)).start(None)
    identity = converse(exchange, CRAM_MD5.start(None), lambda question: StoredKey(password=Secret(kept)))
    assert identity == Identity(saslprep(username))


@pytest.mark.catalogue("B5", "D8")
@pytest.mark.parametrize("name", NO_NAMES)
def test_client_with_bad_name(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        CramMd5Client(name, Secret("x"))


@pytest.mark.parametrize("password", NO_PASSWORDS)
def test_client_with_bad_password(password: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        CramMd5Client("tim", Secret(password))


@pytest.mark.parametrize("make", [lambda n: b"<" + b"a" * n, lambda n: b"<" * n, lambda n: b"<" + b"a" * n + b">>"])
def test_challenge_is_read_in_linear_time(make: Callable[[int], bytes]) -> None:
    assert_linear(_match_challenge, make)
