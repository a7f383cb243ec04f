import pytest
from _dialogue import PEER
from extension_play import FRONT, connect, is_front, offers, session

from smtpcore import GrammarError, Peer, Phase, Reply, ServerConnection, ServerEvent, XClient
from smtpcore.extensions import encode_xclient, xclient

XCLIENT = xclient(is_front)
SYNTAX = b"501 5.5.4 Syntax: XCLIENT name=value [...]\r\n"


def test_offered_to_a_trusted_peer_alone() -> None:
    assert offers(connect(XCLIENT, peer=FRONT)) == ["XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"]
    assert offers(connect(XCLIENT, peer=PEER)) == []


@pytest.mark.catalogue("F15")
@pytest.mark.parametrize("command", ["XCLIENT ADDR=192.0.2.1", "XCLIENT", "XCLIENT nonsense"])
def test_does_not_exist_for_a_stranger(command: str) -> None:
    driver = connect(XCLIENT, peer=Peer(None))
    assert driver.codes(command) == ["502 5.5.1"]
    offers(driver)
    assert driver.codes(command) == ["502 5.5.1"]
    assert driver.seen(XClient) == []


def test_the_session_starts_anew() -> None:
    driver = session(XCLIENT, peer=FRONT)
    assert driver.say("xclient name=spike.porcupine.org addr=168.100.189.2 proto=ESMTP") == (
        b"220 mx.example.org ESMTP ready\r\n"
    )
    (question,) = driver.seen(XClient)
    assert question.attributes == {"NAME": "spike.porcupine.org", "ADDR": "168.100.189.2", "PROTO": "ESMTP"}
    assert driver.codes("MAIL FROM:<a@b.example>") == ["503 5.5.1"]
    # It "should not override its own access control mechanism".
    assert offers(driver) == ["XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"]
    assert driver.codes("XCLIENT LOGIN=tim") == ["220"]


@pytest.mark.parametrize(
    ("pairs", "attributes"),
    [
        ("NAME=[UNAVAILABLE] ADDR=[unavailable]", {"NAME": None, "ADDR": None}),
        ("NAME=[TEMPUNAVAIL]", {"NAME": None}),
        ("ADDR=192.0.2.1 PORT=65535 DESTADDR=192.0.2.2 DESTPORT=25", {
            "ADDR": "192.0.2.1", "PORT": "65535", "DESTADDR": "192.0.2.2", "DESTPORT": "25",
        }),
        ("ADDR=IPV6:2001:db8::1", {"ADDR": "IPV6:2001:db8::1"}),
        ("ADDR=ipv6:::1", {"ADDR": "ipv6:::1"}),
        ("PROTO=SMTP HELO=client.example", {"PROTO": "SMTP", "HELO": "client.example"}),
        ("PROTO=esmtp", {"PROTO": "esmtp"}),
        ("LOGIN=tim+20smith+2Bx", {"LOGIN": "tim smith+x"}),
        (f"NAME={'a' * 255}", {"NAME": "a" * 255}),
    ],
)  # fmt: skip
def test_attributes(pairs: str, attributes: dict[str, str | None]) -> None:
    driver = connect(XCLIENT, peer=FRONT)
    assert driver.codes(f"XCLIENT {pairs}") == ["220"]
    assert driver.seen(XClient) == [XClient(attributes)]


@pytest.mark.catalogue("F15")
@pytest.mark.parametrize(
    "pairs",
    [
        "", "NAME", "NAME=", "NAME=a  HELO=b", "NAME=a NAME=b", "IDENT=a", "SOURCE=LOCAL", "NAME=a+20b",
        "NAME=a+0D+0AQUIT", f"NAME={'a' * 256}", "LOGIN=", f"LOGIN={'a' * 256}", "LOGIN=a+00b",
        "ADDR=localhost", "ADDR=192.0.2.256", "ADDR=192.0.2", "ADDR=0192.0.2.1", "ADDR=[192.0.2.1]", "ADDR=::1",
        "ADDR=IPV6:192.0.2.1", "ADDR=IPV6:", "ADDR=IPV6:fe80::1%eth0", "ADDR=IPV6:2001:db8::/32", "DESTADDR=::1",
        "PORT=65536", "PORT=smtp", "PORT=-1", "DESTPORT=100000", "PROTO=LMTP", "PROTO=SMTPS",
    ],
)  # fmt: skip
def test_not_attributes(pairs: str) -> None:
    driver = connect(XCLIENT, peer=FRONT)
    assert driver.say(f"XCLIENT {pairs}") == SYNTAX
    assert driver.seen(XClient) == []


def test_not_in_a_transaction() -> None:
    driver = session(XCLIENT, peer=FRONT)
    assert driver.codes("MAIL FROM:<a@b.example>", "XCLIENT NAME=a") == ["250 2.1.0", "503 5.5.1"]


def test_refused_by_the_application() -> None:
    def answer(conn: ServerConnection, event: ServerEvent) -> None:
        assert isinstance(event, XClient)
        conn.reject(event, Reply(550, "Not so", "5.7.0"))

    driver = session(XCLIENT, peer=FRONT)
    driver.answer = answer
    assert driver.codes("XCLIENT NAME=a") == ["550 5.7.0"]
    assert driver.conn.phase is Phase.READY


def test_hear() -> None:
    names = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
    assert XCLIENT.hear(names.lower()) == set(names.split(" "))


def test_the_server_reads_what_a_client_writes() -> None:
    attributes = {
        "NAME": "spike.example",
        "ADDR": "IPV6:2001:db8::1",
        "PORT": "25",
        "LOGIN": "tim smith+x",
        "DESTADDR": None,
    }
    driver = connect(XCLIENT, peer=FRONT)
    driver.say(f"XCLIENT {encode_xclient(attributes)}")
    assert driver.seen(XClient) == [XClient(attributes)]


@pytest.mark.catalogue("B5", "B6")
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"NAME": "a\r\nQUIT"},
        {"ADDR": "localhost"},
        {"PROTO": "LMTP"},
        {"IDENT": "a"},
        {"NAME": "a b"},
        {"LOGIN": ""},
    ],
)
def test_not_written(attributes: dict[str, str | None]) -> None:
    with pytest.raises(GrammarError):
        encode_xclient(attributes)
