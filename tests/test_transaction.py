"""What a transaction says of its recipients at every moment."""

import pytest
from _client_wire import begun, envelope, fates, start

from smtpcore import Fate, Mailbox, Outcome, Recipient, Reply, Stray, Transaction
from smtpcore._outgoing import OutgoingBody

ENVELOPE = envelope("a@b.example", "x@y.example", "z@y.example")
OK, NO = Reply(250, "Ok"), Reply(550, "No")


def transaction(*, chunking: bool = False, chunk_octets: int = 4) -> Transaction:
    return Transaction(
        ENVELOPE,
        OutgoingBody(Stray.REJECT, chunking=chunking, binary=False, eight_bit=False, chunk_octets=chunk_octets),
    )


def test_outcomes_are_in_the_envelopes_order() -> None:
    tx = transaction()
    assert tx.envelope is ENVELOPE
    assert [outcome.recipient for outcome in tx.outcomes] == list(ENVELOPE.recipients)
    tx._decide(1, Fate.REFUSED, NO)
    assert fates(tx) == ["UNSENT", "REFUSED 550"]
    tx._decide(0, Fate.ACCEPTED, OK)
    assert fates(tx) == ["ACCEPTED 250", "REFUSED 550"]
    assert tx.outcomes[1] == Outcome(ENVELOPE.recipients[1], Fate.REFUSED, NO)


def test_the_first_word_counts() -> None:
    tx = transaction()
    tx._decide(0, Fate.REFUSED, NO, local=True)
    tx._decide(0, Fate.ACCEPTED, OK)
    assert tx.outcomes[0] == Outcome(ENVELOPE.recipients[0], Fate.REFUSED, NO, local=True)


def test_a_word_on_all_others_counts_too() -> None:
    tx = transaction()
    tx._decide(0, Fate.REFUSED, NO)
    tx._rest = (Fate.UNSENT, None, False)
    tx._decide(1, Fate.ACCEPTED, OK)
    assert fates(tx) == ["REFUSED 550", "UNSENT"]


@pytest.mark.catalogue("F13", "H16")
def test_only_who_was_accepted_is_unknown() -> None:
    tx = transaction()
    tx._end_sent = True
    assert fates(tx) == ["UNSENT", "UNSENT"]
    tx._accepted[1] = None
    assert fates(tx) == ["UNSENT", "UNKNOWN"]
    tx._end_sent = False
    assert fates(tx) == ["UNSENT", "UNSENT"]


def test_wants_body() -> None:
    tx = transaction(chunking=True)
    assert not tx.wants_body
    tx._wanted = True
    assert tx.wants_body
    tx._body.give(b"1234")
    assert not tx.wants_body
    tx._body.chunk(last=False)
    assert tx.wants_body
    for name in ("_ended", "_refused", "_done"):
        setattr(tx, name, True)
        assert not tx.wants_body
        setattr(tx, name, False)
    assert tx.wants_body


def test_repr() -> None:
    tx = transaction()
    assert repr(tx) == "<Transaction from <a@b.example>, under way: 2 UNSENT>"
    tx._decide(0, Fate.ACCEPTED, OK)
    tx._done = True
    assert tx.done
    assert repr(tx) == "<Transaction from <a@b.example>, done: 1 ACCEPTED, 1 UNSENT>"


def test_a_transaction_is_nobody_elses() -> None:
    """Alike as they are, two messages are two."""
    first, second = transaction(), transaction()
    assert first != second
    assert len({first, second}) == 2


def test_outcomes_at_every_moment() -> None:
    driver = begun()
    tx = start(driver, ENVELOPE, None)
    assert fates(tx) == ["UNSENT", "UNSENT"]
    for reply, expected in (
        ("250 Ok", ["UNSENT", "UNSENT"]),
        ("550 No", ["REFUSED 550", "UNSENT"]),
        ("250 Ok", ["REFUSED 550", "UNSENT"]),
        ("354 Go", ["REFUSED 550", "UNSENT"]),
    ):
        driver.say(reply)
        assert fates(tx) == expected
        assert not tx.done
    driver.conn.send_body(tx, b"Hi\r\n")
    driver.flush()
    driver.conn.end_body(tx)
    assert fates(tx) == ["REFUSED 550", "UNSENT"]
    driver.flush()
    assert fates(tx) == ["REFUSED 550", "UNKNOWN"]
    assert not tx.done
    driver.say("451 Later")
    assert fates(tx) == ["REFUSED 550", "REFUSED 451"]
    assert tx.done


def test_an_outcome_is_a_value() -> None:
    recipient = Recipient(Mailbox.parse("x@y.example"))
    assert Outcome(recipient, Fate.UNKNOWN) == Outcome(recipient, Fate.UNKNOWN, None, False)
    assert len({Outcome(recipient, fate) for fate in Fate}) == 4
