"""The exceptions of the engine.

Our caller's mistakes are raised; the peer's are values inside events, never raised out of a door.
"""


class SMTPError(Exception):
    """Base class of all errors of this package."""


class LocalProtocolError(SMTPError):
    """The caller broke the rules of the engine or would have it break those of SMTP.

    Nothing has changed and nothing was sent when this is raised.
    """


class RemoteProtocolError(SMTPError):
    """The peer broke the protocol in a way that ends the connection. Carried by ``Closed``."""


class GrammarError(SMTPError, ValueError):
    """Text that does not follow the grammar; raised by the parsers of addresses and parameters."""
