"""What a test of a program over smtpcore needs, and what the tests of smtpcore itself are made of.

`ConnectionPair` joins a client and a server without a network, and lets happen to the link what a test
wants to happen. `play_server` and `play_client` hold dialogues with one end. `ServerDriver` and
`ClientDriver` are one end, pumped by hand.

These need nothing but smtpcore. `smtpcore.testing.strategies` and `smtpcore.testing.machines` need
Hypothesis, and are imported by those names (``pip install smtpcore[testing]``).

>>> from smtpcore import Envelope, Mailbox, Recipient
>>> from smtpcore.testing import ConnectionPair, Greet, Leave, Send
>>> envelope = Envelope(Mailbox.parse("a@b.example"), (Recipient(Mailbox.parse("c@d.example")),))
>>> pair = ConnectionPair().play(Greet(), Send(envelope, b"Hello"), Leave())
>>> pair.taken[0].message
b'Hello\\r\\n'
>>> [outcome.fate.name for outcome in pair.client_end.sent[0].transaction.outcomes]
['ACCEPTED']
"""

from ._agreement import Taken, received
from ._client_driver import CLIENT_CONFIG, CLIENT_TLS, ClientDriver, Sent, describe
from ._cuts import pieces, steps
from ._dialogue import DialogueError, play_client, play_server
from ._intents import Greet, HangUp, Intent, Leave, LogIn, Pause, Say, Secure, Send
from ._pair import YES, ConnectionPair, EndlessSession, Entry, Fault, Mishap, Policy, Side
from ._server_driver import (
    ACCEPTABLE,
    CONFIG,
    HOSTNAME,
    PEER,
    QUESTIONS,
    TLS,
    Answer,
    ServerDriver,
    accept_all,
    codes,
    joined,
    read_reply,
)

__all__ = [
    "ACCEPTABLE",
    "CLIENT_CONFIG",
    "CLIENT_TLS",
    "CONFIG",
    "HOSTNAME",
    "PEER",
    "QUESTIONS",
    "TLS",
    "YES",
    "Answer",
    "ClientDriver",
    "ConnectionPair",
    "DialogueError",
    "EndlessSession",
    "Entry",
    "Fault",
    "Greet",
    "HangUp",
    "Intent",
    "Leave",
    "LogIn",
    "Mishap",
    "Pause",
    "Policy",
    "Say",
    "Secure",
    "Send",
    "Sent",
    "ServerDriver",
    "Side",
    "Taken",
    "accept_all",
    "codes",
    "describe",
    "joined",
    "pieces",
    "play_client",
    "play_server",
    "read_reply",
    "received",
    "steps",
]
