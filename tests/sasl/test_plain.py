import pytest
from sasl_play import EMPTY, play

from smtpcore._events import Identity, PasswordCheck
from smtpcore._secret import Secret
from smtpcore.sasl import PLAIN, BadAnswer, ServerMechanism

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
