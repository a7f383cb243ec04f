from typing import Any

import attrs
import pytest

from smtpcore import ClientConfig, ClientLimits, ClientTimeouts, LocalProtocolError, Quirk, Stray
from smtpcore._value import evolve
from smtpcore.extensions import ALL, DSN, EIGHTBITMIME, SIZE, Extension
from smtpcore.sasl import Strength


def test_the_stock_config_is_a_careful_one() -> None:
    config = ClientConfig()
    assert config.extensions is ALL
    assert config.limits == ClientLimits()
    assert config.timeouts == ClientTimeouts()
    assert not config.tls_required
    assert not config.cleartext_auth
    assert not config.unverified_auth
    assert config.auth_floor is Strength.REVEALED
    assert config.stray is Stray.REJECT
    assert not config.eight_bit
    assert config.pipelining
    assert not config.prefer_chunking
    assert config.quirks == frozenset()


def test_it_is_a_value() -> None:
    assert ClientConfig() == ClientConfig()
    assert hash(ClientConfig()) == hash(ClientConfig())
    assert ClientConfig(tls_required=True) != ClientConfig()
    name = "tls_required"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(ClientConfig(), name, True)
    positional: Any = ClientConfig
    with pytest.raises(TypeError):
        positional(ALL)


def test_looking_up_its_wishes_does_not_change_what_it_is() -> None:
    config, other = ClientConfig(), ClientConfig()
    before = repr(config)
    assert config.wishes is config.wishes
    assert (repr(config), config) == (before, other)
    assert evolve(config, extensions=(SIZE,)).wishes is not config.wishes


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"extensions": (SIZE, DSN, SIZE)}, id="an extension twice"),
        pytest.param({"extensions": (SIZE, Extension("SIZE", rfc=0))}, id="a keyword twice"),
        pytest.param({"stray": Stray.KEEP}, id="stray octets on the wire"),
        *(pytest.param({"quirks": frozenset({quirk})}, id=quirk.name) for quirk in Quirk if quirk is not Quirk.BARE_LF),
        pytest.param({"quirks": frozenset({Quirk.BARE_LF, Quirk.ODD_HELLO})}, id="one of two quirks"),
    ],
)
def test_parts_that_do_not_go_together(wrong: Any) -> None:
    with pytest.raises(LocalProtocolError):
        ClientConfig(**wrong)


def test_parts_that_do() -> None:
    assert ClientConfig(stray=Stray.NORMALISE).stray is Stray.NORMALISE
    assert ClientConfig(quirks=frozenset({Quirk.BARE_LF})).quirks == {Quirk.BARE_LF}
    assert ClientConfig(extensions=()).extensions == ()


def test_wishes_name_the_parameters_of_each_field() -> None:
    wishes = ClientConfig(extensions=(SIZE, EIGHTBITMIME, DSN)).wishes
    keywords = {name: [(param.keyword, by) for param, by in wish.params] for name, wish in wishes.mail.items()}
    assert keywords == {
        "size": [("SIZE", "SIZE")],
        "body": [("BODY", "8BITMIME")],
        "ret": [("RET", "DSN")],
        "envid": [("ENVID", "DSN")],
    }
    assert {name: [(param.keyword, by) for param, by in wish.params] for name, wish in wishes.rcpt.items()} == {
        "notify": [("NOTIFY", "DSN")],
        "orcpt": [("ORCPT", "DSN")],
    }
    assert all(wish.field == name for name, wish in [*wishes.mail.items(), *wishes.rcpt.items()])
    assert [each.keyword for each in wishes.refusing] == ["SIZE"]


def test_a_field_may_be_expressed_by_several_extensions() -> None:
    wishes = ClientConfig().wishes
    assert [by for _, by in wishes.mail["body"].params] == ["8BITMIME", "BINARYMIME"]
