import pytest
from _dialogue import TLS
from extension_play import connect, offers, session

from smtpcore import Extended, Limits, Reply, ServerConnection, ServerEvent
from smtpcore.extensions import AUTH, EIGHTBITMIME, ETRN, SMTPUTF8
from smtpcore.sasl import PLAIN

SYNTAX = b"501 5.5.4 Syntax: ETRN domain, @domain or #queue\r\n"


def test_offer() -> None:
    assert offers(connect(ETRN)) == ["ETRN"]


@pytest.mark.parametrize(
    "node", ["example.org", "a", "@example.org", "#queue", "#A.b_c-1", f"{'a' * 63}.example", "a." * 127 + "a"]
)
def test_node(node: str) -> None:
    driver = session(ETRN)
    assert driver.say(f"etrn {node}") == b"250 2.0.0 Queuing started\r\n"
    assert driver.seen(Extended) == [Extended("ETRN", node)]


@pytest.mark.parametrize(
    "node",
    [
        "", "@", "#", "##a", "@@a", "@#a", "#@a", "a b", "a..b", ".a", "a.", "-a", "a_b", "[192.0.2.1]", "#a/b",
        "#../a", "#-a", "#.a", f"{'a' * 64}.example", f"@{'a' * 64}", "a." * 128 + "a",
    ],
)  # fmt: skip
def test_not_a_node(node: str) -> None:
    driver = session(ETRN)
    assert driver.say(f"ETRN {node}") == SYNTAX
    assert driver.seen(Extended) == []


def test_node_in_ascii() -> None:
    driver = session(ETRN, EIGHTBITMIME, SMTPUTF8)
    assert driver.say("ETRN é.example", "ETRN #é") == SYNTAX * 2


def test_not_in_a_transaction_nor_before_ehlo() -> None:
    driver = connect(ETRN)
    assert driver.codes("ETRN example.org") == ["503 5.5.1"]
    offers(driver)
    # RFC 1985 5: not while a transaction is going on.
    assert driver.codes("MAIL FROM:<a@b.example>", "ETRN example.org") == ["250 2.1.0", "503 5.5.1"]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(251, "OK, no messages waiting for node example.org"), "251"),
        (Reply(253, "OK, 14 pending messages for node example.org started"), "253"),
        (Reply(458, "Unable to queue messages for node example.org"), "458"),
        (Reply(459, "Node example.org not allowed: unknown", "4.7.1"), "459 4.7.1"),
    ],
)
def test_answers_of_the_application(reply: Reply, code: str) -> None:
    def answer(conn: ServerConnection, event: ServerEvent) -> None:
        assert isinstance(event, Extended)
        (conn.accept if reply.positive else conn.reject)(event, reply)

    driver = session(ETRN)
    driver.answer = answer
    assert driver.codes("ETRN example.org")[0].startswith(code)


def test_counts_as_junk() -> None:
    driver = session(ETRN, limits=Limits(junk_commands=2))
    assert driver.codes(*["ETRN example.org"] * 3) == ["250 2.0.0", "250 2.0.0", "421 4.7.0"]


def test_where_more_is_demanded() -> None:
    assert session(ETRN, tls_required=True).codes("ETRN example.org") == ["530 5.7.0"]
    required = session(ETRN, AUTH, mechanisms=(PLAIN,), auth_required=True, tls=TLS)
    assert required.codes("ETRN example.org") == ["530 5.7.0"]
