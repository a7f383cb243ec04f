"""Faults that the client once had, each with the least that shows it."""

import gc

import pytest
from _client_play import ALL_OFFERED, ENVELOPE, ready

from smtpcore import ClientConfig, Envelope, LocalProtocolError, Mailbox, Recipient


@pytest.mark.catalogue("C3")
def test_xclient_waits_for_tls_where_that_is_required() -> None:
    play = ready("XCLIENT LOGIN", "STARTTLS", config=ClientConfig(tls_required=True))
    with pytest.raises(LocalProtocolError, match="before TLS"):
        play.conn.xclient({"LOGIN": "tim"})
    assert play.sent() == b""


@pytest.mark.parametrize("end", ["abort", "close", "421"])
def test_a_message_that_is_over_holds_no_octets(end: str) -> None:
    play = ready(*ALL_OFFERED, config=ClientConfig(prefer_chunking=True))
    transaction = play.conn.send(ENVELOPE)
    play.sent()
    play.hear("250 Ok", "250 Ok")
    octets = bytes(b"held " * 1000)
    play.conn.send_body(transaction, octets)
    if end == "abort":
        play.conn.abort(transaction)
    elif end == "close":
        play.conn.close()
    else:
        play.hear("421 Bye")
    play.pump()
    assert transaction.done
    assert not any(isinstance(each, list) for each in gc.get_referrers(octets))


def test_postmaster_without_a_domain_is_no_sender() -> None:
    postmaster = Mailbox("Postmaster", "")
    play = ready()
    with pytest.raises(LocalProtocolError, match="a sender has a domain"):
        play.conn.send(Envelope(postmaster, ENVELOPE.recipients))
    assert play.sent() == b""
    play.conn.send(Envelope(ENVELOPE.reverse_path, (Recipient(postmaster),)))
    play.sent()
    play.hear("250 Ok")
    assert play.sent() == b"RCPT TO:<Postmaster>\r\n"
