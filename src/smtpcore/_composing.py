"""An envelope into command lines, for what one server offers.

What a server does not offer is left out where the message is as good without it, and refuses the
message, or a recipient, where it is not: that is for `Param.unmet` to say. Nothing is on the wire yet
then, and the answer is one that the server would have given.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ._address import Domain, Mailbox, NullPath, ReversePath
from ._capabilities import Capabilities
from ._client_config import ClientConfig, Wish
from ._commands import format_mail, format_rcpt
from ._envelope import NO_MAIL_PARAMS, NO_RCPT_PARAMS, Body, Envelope, MailParams, RcptParams, Recipient
from ._errors import GrammarError, LocalProtocolError
from ._reply import Reply
from ._transaction import Fate
from ._value import evolve, fields, value
from .extensions import CHUNKING, LIMITS, REQUIRETLS, SMTPUTF8, Param
from .extensions._extension import unmet_body

# RFC 9422 4.2: a client "should" keep to what the server announced; RFC 5321 4.5.3.1.10: 452 is what is said of it.
NO_ROOM: Final = Reply(452, "The server takes no more recipients in one transaction", "4.5.3")
NO_MORE_MAIL: Final = Reply(452, "The server takes no more messages on this connection", "4.3.2")


@value
class Composition:
    """What to send for an envelope.

    Args:
        refused: why nothing is to be sent at all.
        mail: the MAIL command.
        rcpts: the RCPT commands, each with its recipient's place in the envelope.
        decided: recipients for whom there is nothing to send: place, fate, and why.
    """

    refused: Reply | None
    mail: str = ""
    rcpts: Sequence[tuple[int, str]] = ()
    decided: Sequence[tuple[int, Fate, Reply]] = ()
    chunking: bool = False
    binary: bool = False
    eight_bit: bool = False


_FIELDS: Final = frozenset(field.name for each in (MailParams, RcptParams) for field in fields(each))


# Members of an enum are looked up by Python code in CPython 3.11: too slow for every message.
_BINARY_MIME: Final = Body.BINARY_MIME
_EIGHT_BIT_MIME: Final = Body.EIGHT_BIT_MIME
_CHUNKING: Final = CHUNKING.keyword
_LIMITS: Final = LIMITS.keyword
_SMTPUTF8: Final = SMTPUTF8.keyword


class _Refused(Exception):
    """The message, or the recipient, cannot be sent to this server."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


def check_envelope(envelope: Envelope) -> None:
    """See that *envelope* is one.

    Raises:
        LocalProtocolError: it is not, or nobody is to have the message.
    """
    if not isinstance(envelope, Envelope) or not isinstance(envelope.params, MailParams):
        raise LocalProtocolError(f"not an Envelope: {envelope!r}")
    if not envelope.recipients or not isinstance(envelope.recipients, tuple):
        raise LocalProtocolError("an envelope without a tuple of recipients")
    sender = envelope.reverse_path
    if type(sender) is not NullPath and not _is_mailbox(sender):
        raise LocalProtocolError(f"not a Mailbox or NullPath: {sender!r}")
    for each in envelope.recipients:
        if type(each) is not Recipient or type(each.params) is not RcptParams or not _is_mailbox(each.path):
            raise LocalProtocolError(f"not a Recipient of a Mailbox: {each!r}")


def _is_mailbox(path: object) -> bool:
    return type(path) is Mailbox and isinstance(path.local_part, str) and isinstance(path.domain, str)


def compose(envelope: Envelope, capabilities: Capabilities, config: ClientConfig, *, verified: bool) -> Composition:
    """What to send for *envelope* to a server with *capabilities*, of those extensions that the config has.

    Args:
        verified: there is TLS, and the server's certificate was verified.

    Raises:
        LocalProtocolError: a part of it cannot be put on any wire.
    """
    params, sender = envelope.params, envelope.reverse_path
    decided: list[tuple[int, Fate, Reply]] = []
    rcpts: list[tuple[int, str]] = []
    try:
        utf8 = _utf8(envelope, capabilities)
        if params.requiretls and not verified:  # RFC 8689 4.2.1: the certificate must verify, too
            raise _Refused(_unmet(REQUIRETLS.params[0].unmet(True)))
        mail = format_mail(_path(sender, utf8), _mail_params(params, utf8, capabilities, config))
    except _Refused as refused:
        return Composition(refused.reply)
    most = most_domains = None
    if _LIMITS in capabilities.heard:
        most, most_domains = capabilities.recipients_most, capabilities.domains_most
    domains: set[str] = set()
    for index, recipient in enumerate(envelope.recipients):
        path = recipient.path
        text: Sequence[str] = ()
        try:
            if not utf8 and not path.local_part.isascii():
                raise _Refused(_unmet(SMTPUTF8.params[0].unmet(True)))
            if recipient.params is not NO_RCPT_PARAMS:
                text = _params(recipient.params, config.wishes.rcpt, capabilities)
            line = format_rcpt(path if utf8 or path.domain.isascii() else _mailbox(path, utf8), text)
        except _Refused as refused:
            decided.append((index, Fate.REFUSED, refused.reply))
            continue
        if most_domains is not None:
            domain = path.domain.lower()
            if domain not in domains and len(domains) >= most_domains:
                decided.append((index, Fate.UNSENT, NO_ROOM))
                continue
            domains.add(domain)
        if most is not None and len(rcpts) >= most:
            decided.append((index, Fate.UNSENT, NO_ROOM))
            continue
        rcpts.append((index, line))
    binary = params.body is _BINARY_MIME
    chunking = binary or (config.prefer_chunking and _CHUNKING in capabilities.heard)
    eight_bit = config.eight_bit or utf8 or params.body is _EIGHT_BIT_MIME
    return Composition(None, mail, rcpts, decided, chunking, binary, eight_bit)


def divide(envelope: Envelope, capabilities: Capabilities) -> tuple[Envelope, ...]:
    """*envelope* as several, none with more recipients or domains than *capabilities* permit (RFC 9422)."""
    most, most_domains = capabilities.recipients_most, capabilities.domains_most
    groups: list[list[Recipient]] = [[]]
    domains: set[str] = set()
    for recipient in envelope.recipients:
        domain = recipient.path.domain.lower()
        full = most is not None and len(groups[-1]) >= most
        if full or (most_domains is not None and domain not in domains and len(domains) >= most_domains):
            groups.append([])
            domains = set()
        groups[-1].append(recipient)
        domains.add(domain)
    if len(groups) == 1:
        return (envelope,)
    return tuple(evolve(envelope, recipients=tuple(group)) for group in groups)


def _utf8(envelope: Envelope, capabilities: Capabilities) -> bool:
    """Whether to say SMTPUTF8: only where something needs it, since not every relay behind this one may have it."""
    sender = envelope.reverse_path
    wanted = envelope.params.smtputf8 or (type(sender) is Mailbox and not sender.local_part.isascii())
    if _SMTPUTF8 in capabilities.heard:
        if not wanted:
            for each in envelope.recipients:  # `any` is slow for the few that there are
                if not each.path.local_part.isascii():
                    return True
        return wanted
    if wanted:
        # RFC 6531 3.2: such a message "MUST NOT" be transferred to a server that does not support it.
        raise _Refused(_unmet(SMTPUTF8.params[0].unmet(True)))
    return False


def _path(path: ReversePath, utf8: bool) -> ReversePath:
    return _mailbox(path, utf8) if isinstance(path, Mailbox) else path


def _mailbox(path: Mailbox, utf8: bool) -> Mailbox:
    # RFC 6531 3.2: without SMTPUTF8 a domain goes in A-labels (RFC 5890), a local part not at all.
    if utf8 or path.domain.isascii():
        return path
    try:
        return Mailbox(path.local_part, Domain.parse(path.domain).ascii)
    except GrammarError as error:
        raise LocalProtocolError(f"not a domain: {path.domain!r}") from error


def _mail_params(params: MailParams, utf8: bool, capabilities: Capabilities, config: ClientConfig) -> Sequence[str]:
    if params is NO_MAIL_PARAMS and not utf8:
        return ()
    texts = _params(evolve(params, smtputf8=True) if utf8 else params, config.wishes.mail, capabilities)
    if params.body is Body.BINARY_MIME and CHUNKING.keyword not in capabilities.heard:
        # RFC 3030 3: binary content goes by BDAT alone.
        raise _Refused(_unmet(unmet_body(params.body)))
    for extension in config.wishes.refusing:
        if extension in capabilities:
            refusal = extension.refuse(capabilities.of(extension), params)
            if refusal is not None:
                raise _Refused(refusal)
    return texts


def _params(params: MailParams | RcptParams, wishes: Mapping[str, Wish], capabilities: Capabilities) -> Sequence[str]:
    texts = []
    for name, wished in _wished(params):
        wish = wishes.get(name)
        if wish is None:
            raise LocalProtocolError(f"no extension of the config brings {name}")
        text = _express(wish, wished, capabilities)
        if text is not None:
            texts.append(text)
    return texts


def _wished(params: MailParams | RcptParams) -> Iterator[tuple[str, object]]:
    for field in fields(type(params)):
        wished = getattr(params, field.name)
        if field.name != "extra" and wished != field.default:
            yield field.name, wished
    if not isinstance(params.extra, Mapping) or any(name in _FIELDS for name in params.extra):
        raise LocalProtocolError(f"extra holds what has no field of its own, by name: {params.extra!r}")
    yield from params.extra.items()


def _express(wish: Wish, wished: object, capabilities: Capabilities) -> str | None:
    """The parameter for what is wished; None where it is to be left out."""
    inexpressible: Exception | None = None
    unmet: Param | None = None
    for param, keyword in wish.params:
        try:
            text = param.encode(wished)
        except (GrammarError, AttributeError, TypeError, ValueError) as error:
            inexpressible = error
            continue
        if keyword in capabilities.keywords:
            return text
        unmet = unmet or param
    if unmet is None:
        raise LocalProtocolError(f"{wish.field} cannot be {wished!r}: {inexpressible}") from inexpressible
    refusal = unmet.unmet(wished)
    if refusal is not None:
        raise _Refused(refusal)
    return None


def _unmet(reply: Reply | None) -> Reply:
    assert reply is not None
    return reply
