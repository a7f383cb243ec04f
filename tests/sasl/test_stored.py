"""What is kept of a password, asked whether a password is the one."""

import pytest
from hypothesis import given, settings, strategies as st
from sasl_texts import NO_STORED_PASSWORDS, TEXT

from smtpcore import GrammarError, Secret, StoredKey
from smtpcore._value import evolve
from smtpcore.sasl import prepare_password, saslprep, scram_key

PENCIL = Secret("pencil")
SALT = b"0123456789abcdef"


@pytest.mark.parametrize("hash_name", ["sha1", "sha256", "sha384", "sha512"])
def test_the_password_and_no_other(hash_name: str) -> None:
    key = scram_key(PENCIL, salt=SALT, iterations=2, hash_name=hash_name)
    assert key.verify(PENCIL)
    for other in (Secret("Pencil"), Secret("pencil "), Secret("")):
        assert not key.verify(other)
    assert not evolve(key, iterations=1).verify(PENCIL)
    assert not evolve(key, salt=SALT[1:]).verify(PENCIL)


def storable(text: str) -> bool:
    try:
        return bool(saslprep(text, stored=True))
    except GrammarError:
        return False


@settings(max_examples=25)
@given(password=TEXT.filter(storable), other=TEXT)
def test_what_plain_shows(password: str, other: str) -> None:
    """The key of a password, and the password itself, hold for what a client's becomes on its way."""
    shown, else_shown = prepare_password(password), prepare_password(other)
    assert shown is not None
    for key in (scram_key(Secret(password), iterations=1), StoredKey(password=Secret(password))):
        assert key.verify(Secret(password))
        assert key.verify(shown)
        assert key.verify(Secret(other)) == (shown == else_shown)


@given(st.binary(max_size=8))
def test_any_octets(octets: bytes) -> None:
    """Nothing that is shown raises."""
    assert scram_key(PENCIL, iterations=1).verify(Secret(octets)) == (octets == b"pencil")


@pytest.mark.parametrize("password", [*NO_STORED_PASSWORDS, "a\nb"])
def test_what_is_no_password(password: str) -> None:
    assert not scram_key(PENCIL, iterations=1).verify(Secret(password))


def test_kept_itself() -> None:
    assert StoredKey(password=PENCIL).verify(PENCIL)
    assert not StoredKey(password=PENCIL).verify(Secret("Pencil"))
    # It is what counts where there is a key, too.
    assert not evolve(scram_key(PENCIL, iterations=1), password=Secret("other")).verify(PENCIL)


@pytest.mark.parametrize("kept", [b"", b"\xff", b"a\nb"])
def test_kept_what_is_no_password(kept: bytes) -> None:
    assert not StoredKey(password=Secret(kept)).verify(Secret(kept))


@pytest.mark.parametrize(
    "key",
    [
        StoredKey(),
        StoredKey(SALT, 1),
        StoredKey(SALT, 1, Secret(b"x" * 31), Secret(b"x" * 31)),
        evolve(scram_key(PENCIL, iterations=1), iterations=0),
        evolve(scram_key(PENCIL, iterations=1), iterations=-1),
    ],
)
def test_nobodys_key(key: StoredKey) -> None:
    assert not key.verify(PENCIL)
    assert not key.verify(Secret(""))
