"""Hypothesis strategies for all that SMTP is made of, from a local part to a whole session.

They make what the engine's own parsers take, all of it: what RFC 5321 and its extensions permit and
programs seldom say. Where a strategy makes other things as well, an argument asks for them.

>>> from hypothesis import given, settings
>>> from smtpcore import Mailbox
>>> from smtpcore.testing.strategies import mailboxes
>>> @settings(max_examples=10, database=None)
... @given(mailboxes())
... def test_my_parser(mailbox):
...     assert Mailbox.parse(str(mailbox)) == mailbox
>>> test_my_parser()
"""

from ._mail import (
    PARAM_VALUES,
    SpokenReply,
    address_literals,
    broken_reply_octets,
    cuts,
    domains,
    envelopes,
    forward_paths,
    local_parts,
    mail_params,
    mailboxes,
    messages,
    piece_sizes,
    rcpt_params,
    recipients,
    replies,
    reply_octets,
    reverse_paths,
)
from ._sessions import (
    ALL_MECHANISMS,
    EXTENSIONS,
    HARMS,
    MECHANISMS,
    USERS,
    Session,
    Whims,
    client_configs,
    extension_sets,
    faults,
    intents,
    policies,
    sendings,
    server_configs,
    sessions,
)

__all__ = [
    "ALL_MECHANISMS",
    "EXTENSIONS",
    "HARMS",
    "MECHANISMS",
    "PARAM_VALUES",
    "USERS",
    "Session",
    "SpokenReply",
    "Whims",
    "address_literals",
    "broken_reply_octets",
    "client_configs",
    "cuts",
    "domains",
    "envelopes",
    "extension_sets",
    "faults",
    "forward_paths",
    "intents",
    "local_parts",
    "mail_params",
    "mailboxes",
    "messages",
    "piece_sizes",
    "policies",
    "rcpt_params",
    "recipients",
    "replies",
    "reply_octets",
    "reverse_paths",
    "sendings",
    "server_configs",
    "sessions",
]
