"""How often a client waits for the server: what PIPELINING (RFC 2920) is for."""

import pytest

from smtpcore import (
    BodyChunk,
    BodyWanted,
    ClientConfig,
    ClientConnection,
    Envelope,
    Fate,
    Greeting,
    HelloDone,
    Peer,
    ServerConfig,
    ServerConnection,
    Transaction,
    TransactionDone,
    Wait,
)


def _round_trips(recipients: int, *, pipelining: bool) -> int:
    """Send a message; how often octets left, each time after all replies were read."""
    server = ServerConnection(ServerConfig(hostname="mx.example.org"), peer=Peer("192.0.2.1"))
    client = ClientConnection(ClientConfig(pipelining=pipelining))
    envelope = Envelope.parse("a@client.example", [f"user{each}@example.org" for each in range(recipients)])
    transaction: Transaction | None = None
    trips = 0
    for _ in range(1000):
        while not isinstance(event := server.next_event(), Wait):
            if server.awaits_answer and not isinstance(event, BodyChunk):
                server.accept(event)  # type: ignore[arg-type]
        said = b"".join(server.data_to_send(0.0))
        server.data_sent(0.0)
        if event is Wait.SEND:
            continue
        client.receive_data(said, 0.0)
        while not isinstance(heard := client.next_event(), Wait):
            match heard:
                case Greeting():
                    client.hello("client.example")
                case HelloDone():
                    transaction = client.send(envelope)
                case BodyWanted(asked):
                    client.send_body(asked, b"Subject: x\r\n\r\nHello\r\n")
                    client.end_body(asked)
                case TransactionDone():
                    client.quit()
        if heard is Wait.CLOSED:
            break
        octets = b"".join(client.data_to_send(0.0))
        client.data_sent(0.0)
        trips += 1
        server.receive_data(octets, 0.0)
    assert transaction is not None
    assert {outcome.fate for outcome in transaction.outcomes} == {Fate.ACCEPTED}
    return trips


@pytest.mark.parametrize("recipients", [1, 100, 300])
def test_four_with_pipelining(recipients: int) -> None:
    # EHLO; MAIL, RCPT and DATA; the message; QUIT
    assert _round_trips(recipients, pipelining=True) == 4


def test_one_each_without_it() -> None:
    assert _round_trips(100, pipelining=False) == 105


def test_a_long_envelope_leaves_in_several_groups() -> None:
    octets = sum(len(f"RCPT TO:<user{each}@example.org>\r\n") for each in range(1000))
    trips = _round_trips(1000, pipelining=True)
    assert 4 < trips <= 4 + octets // 8192
