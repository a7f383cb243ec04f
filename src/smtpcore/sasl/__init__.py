"""SASL mechanisms, for both sides (RFC 4422).

On the server's side each is an object that the server offers; ``PLAIN`` is `Plain` as it comes, and so
with the others. They ask the application, by the questions that `ServerMechanism` lists, and know
nothing of SMTP.

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

On the client's side each is a credential; `client_mechanisms` makes all that one password is good for. The
same ticket shown, by an object with the four names of `ClientMechanism`:

>>> from smtpcore.sasl import BadChallenge, Strength
>>> class ShowTicket:
...     name = "X-TICKET"
...     strength = Strength.REVEALED
...     def __init__(self, ticket):
...         self.ticket = ticket
...     def available(self, tls):
...         return tls is not None
...     def start(self, tls):
...         if (yield b"tim " + self.ticket.reveal()) is not None:
...             raise BadChallenge("there is nothing more to say")
>>> exchange = ShowTicket(Secret("4711")).start(None)
>>> next(exchange)
b'tim 4711'
>>> exchange.send(None)
Traceback (most recent call last):
...
StopIteration
"""

from collections.abc import Collection
from contextlib import suppress

from .._errors import LocalProtocolError
from .._secret import Secret
from ._mechanism import (
    BadAnswer,
    BadChallenge,
    Challenge,
    ClientExchange,
    ClientMechanism,
    Exchange,
    ServerMechanism,
    Strength,
)
from ._names import decode, prepare_authzid, prepare_name, prepare_password
from ._saslprep import saslprep
from ._stored import StoredKey
from .anonymous import ANONYMOUS, Anonymous, AnonymousClient
from .cram_md5 import CRAM_MD5, CramMd5, CramMd5Client
from .external import EXTERNAL, External, ExternalClient
from .login import LOGIN, Login, LoginClient
from .oauthbearer import OAUTHBEARER, OAuthBearer, OAuthBearerClient
from .plain import PLAIN, Plain, PlainClient
from .scram import (
    SCRAM_SHA_1,
    SCRAM_SHA_1_PLUS,
    SCRAM_SHA_256,
    SCRAM_SHA_256_PLUS,
    Scram,
    ScramClient,
    scram_key,
)
from .xoauth2 import XOAUTH2, XOAuth2, XOAuth2Client

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
    "AnonymousClient",
    "BadAnswer",
    "BadChallenge",
    "Challenge",
    "ClientExchange",
    "ClientMechanism",
    "CramMd5",
    "CramMd5Client",
    "Exchange",
    "External",
    "ExternalClient",
    "Login",
    "LoginClient",
    "OAuthBearer",
    "OAuthBearerClient",
    "Plain",
    "PlainClient",
    "Scram",
    "ScramClient",
    "ServerMechanism",
    "StoredKey",
    "Strength",
    "XOAuth2",
    "XOAuth2Client",
    "client_mechanisms",
    "decode",
    "prepare_authzid",
    "prepare_name",
    "prepare_password",
    "saslprep",
    "scram_key",
]


def client_mechanisms(
    username: str, password: Secret, authzid: str | None = None, *, names: Collection[str] | None = None
) -> tuple[ClientMechanism, ...]:
    """All mechanisms that a password is good for, the strongest first.

    SCRAM is left out for a password with characters that Unicode 3.2 does not know, which it cannot
    hash (RFC 5802 section 2.2).

    Args:
        username: whose password it is.
        password: UTF-8.
        authzid: whom to act as, if that is another; then those mechanisms that cannot say so are left out.
        names: none but these. Filter here and not what is returned: a SCRAM whose -PLUS form is not among
            them must not claim that it could bind, or a server that can will refuse it.

    Raises:
        LocalProtocolError: no server could accept a name or the password.
        TypeError: the password is not a `Secret`.
    """
    plain = PlainClient(username, password, authzid)
    mechanisms: list[ClientMechanism] = []
    with suppress(LocalProtocolError):
        # A bound exchange is the stronger one with either hash, and a client that would bind is to say "y" only
        # where no -PLUS form is offered.
        mechanisms += [
            ScramClient(
                name=f"SCRAM-SHA-{bits}{plus}",
                hash_name=f"sha{bits}",
                username=username,
                password=password,
                authzid=authzid,
                could_bind=not plus and (names is None or f"SCRAM-SHA-{bits}-PLUS" in names),
            )
            for plus in ("-PLUS", "")
            for bits in (256, 1)
        ]
    if authzid is None:
        mechanisms += (CramMd5Client(username, password), plain, LoginClient(username, password))
    else:
        mechanisms.append(plain)
    return tuple(each for each in mechanisms if names is None or each.name in names)
