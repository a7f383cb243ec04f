import pytest
from _dialogue import PEER
from extension_play import FRONT, connect, is_front, offers, session

from smtpcore import Extended, GrammarError
from smtpcore.extensions import encode_xforward, xforward

XFORWARD = xforward(is_front)
SYNTAX = b"501 5.5.4 Syntax: XFORWARD name=value [...]\r\n"


def test_offered_to_a_trusted_peer_alone() -> None:
    assert offers(connect(XFORWARD, peer=FRONT)) == ["XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"]
    assert offers(connect(XFORWARD, peer=PEER)) == []


@pytest.mark.catalogue("F15")
@pytest.mark.parametrize("command", ["XFORWARD NAME=a", "XFORWARD", "XFORWARD nonsense"])
def test_does_not_exist_for_a_stranger(command: str) -> None:
    driver = session(XFORWARD, peer=PEER)
    assert driver.codes(command) == ["502 5.5.1"]
    assert driver.seen(Extended) == []


def test_example_of_the_documentation() -> None:
    driver = session(XFORWARD, peer=FRONT)
    assert driver.codes(
        "XFORWARD NAME=spike.porcupine.org ADDR=168.100.189.2 PROTO=ESMTP",
        "XFORWARD HELO=spike.porcupine.org",
        "MAIL FROM:<wietse@porcupine.org>",
    ) == ["250 2.0.0", "250 2.0.0", "250 2.1.0"]
    assert driver.seen(Extended) == [
        Extended("XFORWARD", {"NAME": "spike.porcupine.org", "ADDR": "168.100.189.2", "PROTO": "ESMTP"}),
        Extended("XFORWARD", {"HELO": "spike.porcupine.org"}),
    ]


@pytest.mark.parametrize(
    ("pairs", "attributes"),
    [
        ("ADDR=[UNAVAILABLE]", {"ADDR": None}),
        ("name=a IDENT=3CF6B2AAE8 Source=LOCAL", {"NAME": "a", "IDENT": "3CF6B2AAE8", "SOURCE": "LOCAL"}),
        ("SOURCE=remote PORT=0", {"SOURCE": "remote", "PORT": "0"}),
        ("ADDR=IPV6:::1", {"ADDR": "IPV6:::1"}),
        ("ADDR=/var/run/socket", {"ADDR": "/var/run/socket"}),
        (f"PROTO={'a' * 64}", {"PROTO": "a" * 64}),
        (f"HELO={'a' * 255}", {"HELO": "a" * 255}),
    ],
)
def test_attributes(pairs: str, attributes: dict[str, str | None]) -> None:
    driver = session(XFORWARD, peer=FRONT)
    assert driver.codes(f"XFORWARD {pairs}") == ["250 2.0.0"]
    assert driver.seen(Extended) == [Extended("XFORWARD", attributes)]


@pytest.mark.catalogue("F15")
@pytest.mark.parametrize(
    "pairs",
    [
        "", "NAME", "NAME=", "NAME=a NAME=b", "LOGIN=a", "DESTADDR=192.0.2.1", "NAME=a+20b", "NAME=a+0Ab",
        "SOURCE=OTHER", "SOURCE=", "PORT=65536", f"PROTO={'a' * 65}", "PROTO=", f"IDENT={'a' * 256}",
    ],
)  # fmt: skip
def test_not_attributes(pairs: str) -> None:
    driver = session(XFORWARD, peer=FRONT)
    assert driver.say(f"XFORWARD {pairs}") == SYNTAX
    assert driver.seen(Extended) == []


def test_between_transactions_alone() -> None:
    driver = connect(XFORWARD, peer=FRONT)
    assert driver.codes("XFORWARD NAME=a") == ["503 5.5.1"]
    offers(driver)
    assert driver.codes("MAIL FROM:<a@b.example>", "XFORWARD NAME=a") == ["250 2.1.0", "503 5.5.1"]


def test_hear() -> None:
    names = "NAME ADDR PORT PROTO HELO IDENT SOURCE"
    assert XFORWARD.hear(names.lower()) == set(names.split(" "))


def test_the_server_reads_what_a_client_writes() -> None:
    attributes = {"NAME": None, "ADDR": "192.0.2.1", "PROTO": "ESMTP", "IDENT": "a=b", "SOURCE": "REMOTE"}
    driver = session(XFORWARD, peer=FRONT)
    driver.say(f"XFORWARD {encode_xforward(attributes)}")
    assert driver.seen(Extended) == [Extended("XFORWARD", attributes)]


@pytest.mark.catalogue("B5", "B6")
@pytest.mark.parametrize(
    "attributes", [{}, {"NAME": "a\r\nQUIT"}, {"SOURCE": "HERE"}, {"LOGIN": "a"}, {"IDENT": "a b"}, {"PROTO": "a" * 65}]
)
def test_not_written(attributes: dict[str, str | None]) -> None:
    with pytest.raises(GrammarError):
        encode_xforward(attributes)
