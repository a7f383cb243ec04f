"""What is kept of passwords."""

import json
from pathlib import Path
from typing import Any

import pytest

from smtpcore import PasswordCheck, Secret, SecretWanted, StoredKey, TokenCheck
from smtpcore.sasl import scram_key
from smtpcore_trio.credentials import Credentials


@pytest.fixture(scope="module")
def made() -> tuple[Credentials, Secret]:
    return Credentials.create("tim")


async def test_password(made: tuple[Credentials, Secret]) -> None:
    credentials, password = made
    assert credentials.names == ["tim"]
    for username, shown, authzid, right in (
        ("tim", password, None, True),
        ("tim", password, "tim", True),
        ("tim", password, "tom", False),
        ("tim", Secret("wrong"), None, False),
        ("tim", Secret(""), None, False),
        ("tom", password, None, False),
        ("tom", Secret(""), None, False),
    ):
        assert await credentials.answer(PasswordCheck("PLAIN", username, shown, authzid)) is right


async def test_key(made: tuple[Credentials, Secret]) -> None:
    credentials, password = made
    key = await credentials.answer(SecretWanted("SCRAM-SHA-256", "tim"))
    assert isinstance(key, StoredKey)
    assert key == scram_key(password, salt=key.salt, iterations=key.iterations)
    assert await credentials.answer(SecretWanted("SCRAM-SHA-256", "tom")) is False
    assert await credentials.answer(SecretWanted("SCRAM-SHA-256", "tim", "tom")) is False


async def test_no_token(made: tuple[Credentials, Secret]) -> None:
    assert await made[0].answer(TokenCheck("XOAUTH2", "tim", Secret("x"))) is False


@pytest.mark.catalogue("D12")
async def test_kept(made: tuple[Credentials, Secret], tmp_path: Path) -> None:
    credentials, password = made
    path = tmp_path / "credentials.json"
    credentials.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert password.reveal() not in path.read_bytes()
    loaded = Credentials.load(path)
    assert await loaded.answer(PasswordCheck("PLAIN", "tim", password)) is True
    assert await loaded.answer(SecretWanted("X", "tim")) == await credentials.answer(SecretWanted("X", "tim"))
    assert loaded.seed == credentials.seed


def test_password_is_another_each_time() -> None:
    assert Credentials.create("tim")[1] != Credentials.create("tim")[1]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda kept: kept.clear(),
        lambda kept: kept["users"]["tim"].clear(),
        lambda kept: kept.update(users=[]),
        lambda kept: kept["users"]["tim"]["scrypt"].update(n=2),
        lambda kept: kept["users"]["tim"]["scrypt"].update(salt="?"),
        lambda kept: kept.update(seed=None),
    ],
)
def test_spoiled(made: tuple[Credentials, Secret], tmp_path: Path, spoil: Any) -> None:
    path = tmp_path / "credentials.json"
    made[0].save(path)
    kept = json.loads(path.read_bytes())
    spoil(kept)
    path.write_text(json.dumps(kept))
    with pytest.raises(ValueError, match="holds no credentials"):
        Credentials.load(path)


def test_not_json(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="holds no credentials"):
        Credentials.load(path)
