"""SASL mechanisms, the server's side (RFC 4422).

Each is an object that the server offers; ``PLAIN`` is `Plain` as it comes, and so with the others. They
ask the application, by the questions that `ServerMechanism` lists, and know nothing of SMTP.

A mechanism of one's own is an object with the same four names. This one lets in who brings a ticket:

>>> from smtpcore import Identity, PasswordCheck, Secret
>>> from smtpcore.sasl import BadAnswer, Challenge, decode, prepare_name
>>> class Ticket:
...     name = "X-TICKET"
...     initial = True
...     def available(self, tls):
...         return tls is not None
...     def start(self, tls):
...         name, space, ticket = decode((yield Challenge(b""))).partition(" ")
...         if not space:
...             raise BadAnswer("not a name and a ticket")
...         username = prepare_name(name)
...         admitted = yield PasswordCheck(self.name, username, Secret(ticket))
...         return Identity(username) if admitted else None

The server drives it, and so can a test:

>>> exchange = Ticket().start(None)
>>> next(exchange)
Challenge(octets=b'')
>>> exchange.send(b"tim 4711")
PasswordCheck(mechanism='X-TICKET', username='tim', authzid=None)
>>> exchange.send(True)
Traceback (most recent call last):
...
StopIteration: Identity(username='tim', authenticated_as=None)
"""

from ._mechanism import BadAnswer, Challenge, Exchange, ServerMechanism
from ._names import decode, prepare_authzid, prepare_name, prepare_password
from ._saslprep import saslprep
from .anonymous import ANONYMOUS, Anonymous
from .cram_md5 import CRAM_MD5, CramMd5
from .external import EXTERNAL, External
from .login import LOGIN, Login
from .oauthbearer import OAUTHBEARER, OAuthBearer
from .plain import PLAIN, Plain
from .scram import (
    SCRAM_SHA_1,
    SCRAM_SHA_1_PLUS,
    SCRAM_SHA_256,
    SCRAM_SHA_256_PLUS,
    Scram,
    scram_key,
)
from .xoauth2 import XOAUTH2, XOAuth2

__all__ = [
    "ANONYMOUS",
    "CRAM_MD5",
    "EXTERNAL",
    "LOGIN",
    "OAUTHBEARER",
    "PLAIN",
    "SCRAM_SHA_1",
    "SCRAM_SHA_1_PLUS",
    "SCRAM_SHA_256",
    "SCRAM_SHA_256_PLUS",
    "XOAUTH2",
    "Anonymous",
    "BadAnswer",
    "Challenge",
    "CramMd5",
    "Exchange",
    "External",
    "Login",
    "OAuthBearer",
    "Plain",
    "Scram",
    "ServerMechanism",
    "XOAuth2",
    "decode",
    "prepare_authzid",
    "prepare_name",
    "prepare_password",
    "saslprep",
    "scram_key",
]
