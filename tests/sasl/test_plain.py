import pytest
from hypothesis import given, strategies as st
from sasl_play import EMPTY, Application, Question, converse, play, play_client
from sasl_texts import NO_NAMES, NO_PASSWORDS, TEXT

from smtpcore._errors import LocalProtocolError
from smtpcore._events import Identity, PasswordCheck
from smtpcore._secret import Secret
from smtpcore.sasl import (
    PLAIN,
    BadAnswer,
    BadChallenge,
    ClientMechanism,
    PlainClient,
    ServerMechanism,
    Strength,
    saslprep,
)

MECHANISM: ServerMechanism = PLAIN


def test_offer() -> None:
    assert (MECHANISM.name, MECHANISM.initial, MECHANISM.available(None)) == ("PLAIN", True, True)


def test_rfc4616_4_first_example() -> None:
    check = PasswordCheck("PLAIN", "tim", Secret("tanstaaftanstaaf"))
    answer = b"\0tim\0tanstaaftanstaaf"
    assert play(PLAIN.start(None), (EMPTY, answer), (check, True)) == Identity("tim")
    assert play(PLAIN.start(None), (EMPTY, answer), (check, False)) is None


@pytest.mark.catalogue("D9")
def test_rfc4616_4_second_example() -> None:
    check = PasswordCheck("PLAIN", "Kurt", Secret("xipj3plmq"), authzid="Ursel")
    answer = b"Ursel\0Kurt\0xipj3plmq"
    assert play(PLAIN.start(None), (EMPTY, answer), (check, True)) == Identity("Ursel", authenticated_as="Kurt")
    assert play(PLAIN.start(None), (EMPTY, answer), (check, False)) is None


def test_authzid_that_is_the_name() -> None:
    check = PasswordCheck("PLAIN", "tim", Secret("x"))
    assert play(PLAIN.start(None), (EMPTY, b"tim\0tim\0x"), (check, True)) == Identity("tim")


def test_all_is_prepared() -> None:
    check = PasswordCheck("PLAIN", "IX", Secret("a b"), authzid="a")
    answer = "\u00aa\0I\u00adX\0a\u00a0b".encode()
    assert play(PLAIN.start(None), (EMPTY, answer), (check, True)) == Identity("a", "IX")


@pytest.mark.catalogue("D12")
def test_password_is_not_shown() -> None:
    exchange = PLAIN.start(None)
    next(exchange)
    assert "hunter2" not in repr(exchange.send(b"\0tim\0hunter2"))


@pytest.mark.parametrize("password", [b"", "\u00ad".encode(), b"a\tb", "\u202e".encode()])
def test_password_that_cannot_be(password: bytes) -> None:
    assert play(PLAIN.start(None), (EMPTY, b"\0tim\0" + password)) is None


@pytest.mark.catalogue("D8")
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"tim",
        b"tim\0tanstaaf",
        b"\0tim\0tan\0staaf",
        b"\0\0\0",
        b"\0\0tanstaaf",
        b"\0no\r\nbody\0tanstaaf",
        b"no\r\nbody\0tim\0tanstaaf",
        "\u00ad\0tim\0tanstaaf".encode(),
        b"\0t\xefm\0tanstaaf",
        b"\0tim\0tanst\xe4f",
    ],
)
def test_bad_answer(answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        play(PLAIN.start(None), (EMPTY, answer))


# --- the client ----------------------------------------------------------------------------------

CLIENT: ClientMechanism = PlainClient("tim", Secret("tanstaaftanstaaf"))


def test_client() -> None:
    assert (CLIENT.name, CLIENT.strength, CLIENT.available(None)) == ("PLAIN", Strength.REVEALED, True)


@pytest.mark.parametrize(
    ("client", "said"),
    [
        # RFC 4616 4
        (CLIENT, b"\0tim\0tanstaaftanstaaf"),
        (PlainClient("Kurt", Secret("xipj3plmq"), "Ursel"), b"Ursel\0Kurt\0xipj3plmq"),
        # It is for the server to prepare.
        (PlainClient("\u2168", Secret("\u00b5\u00b2\u00b4"), "\u00aa"), "\u00aa\0\u2168\0\u00b5\u00b2\u00b4".encode()),
    ],
)
def test_client_says(client: PlainClient, said: bytes) -> None:
    play_client(client.start(None), (said, None))
    with pytest.raises(BadChallenge):
        play_client(client.start(None), (said, b""))


@given(TEXT, TEXT, st.none() | TEXT)
def test_client_and_server(username: str, password: str, authzid: str | None) -> None:
    asked: list[Question] = []
    exchange = PlainClient(username, Secret(password), authzid).start(None)
    identity = converse(exchange, PLAIN.start(None), Application(True, asked))
    name, other = saslprep(username), saslprep(authzid or username)
    assert asked == [PasswordCheck("PLAIN", name, Secret(saslprep(password)), None if other == name else other)]
    assert identity == (Identity(name) if other == name else Identity(other, authenticated_as=name))


@pytest.mark.catalogue("B5", "D8")
@pytest.mark.parametrize("name", NO_NAMES)
def test_client_with_bad_name(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        PlainClient(name, Secret("x"))
    with pytest.raises(LocalProtocolError):
        PlainClient("tim", Secret("x"), name)


@pytest.mark.catalogue("B5")
@pytest.mark.parametrize("password", NO_PASSWORDS)
def test_client_with_bad_password(password: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        PlainClient("tim", Secret(password))
