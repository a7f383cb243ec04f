from _dialogue import Driver, codes, config

from smtpcore.extensions import ENHANCEDSTATUSCODES


def test_offer() -> None:
    driver = Driver(config(extensions=(ENHANCEDSTATUSCODES,)))
    # RFC 2034 4: not in the greeting, nor in the reply to EHLO.
    assert driver.out == b"220 mx.example.org ESMTP ready\r\n"
    assert driver.say("EHLO client.example") == b"250-mx.example.org\r\n250 ENHANCEDSTATUSCODES\r\n"
    assert codes(driver.say("NOOP", "FOO", "QUIT")) == ["250 2.0.0", "500 5.5.1", "221 2.0.0"]


def test_not_where_it_is_not_offered() -> None:
    driver = Driver(config(extensions=()))
    assert driver.say("EHLO client.example") == b"250 mx.example.org\r\n"
    assert codes(driver.say("NOOP", "FOO", "QUIT")) == ["250", "500", "221"]
