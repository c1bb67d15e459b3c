"""Listener addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8800", Address("127.0.0.1", 8800)),
        ("[::]:8800", Address("::", 8800)),
        ("[0:0::1]:1", Address("::1", 1)),
        ("localhost:0", Address("localhost", 0)),
        ("gpu-box.example.org:65535", Address("gpu-box.example.org", 65535)),
    ],
)
def test_reads_the_forms_people_write(text, address):
    """IPv4, bracketed IPv6 and host names are read."""
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "8800", ":8800", "127.0.0.1", "::1:8800", "[::1]", "a b:1", "http://x:1", "x:-1", "x:65536", "[zz]:1", "[1.2.3.4]:1"],
)
def test_refuses_what_cannot_be_bound(text):
    """Anything else is an error that says so, an empty host too."""
    with pytest.raises(ValueError, match=r"must"):
        parse_address(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST"])
def test_loopback(host):
    """Only this machine reaches 127/8, ::1 and localhost, however they are written."""
    assert Address(host, 1).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "127.1", "localhost.example.org", "::ffff:10.0.0.1"])
def test_beyond_loopback(host):
    """What might be reached from elsewhere does not count as loopback."""
    assert not Address(host, 1).is_loopback


@pytest.mark.parametrize(
    ("one", "other", "collides"),
    [
        ("127.0.0.1:1", "127.0.0.1:1", True),
        ("127.0.0.1:1", "127.0.0.1:2", False),
        ("localhost:1", "127.0.0.1:1", True),
        ("0.0.0.0:1", "127.0.0.1:1", True),
        ("10.0.0.1:1", "10.0.0.2:1", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
    ],
)
def test_collision(one, other, collides):
    """Two listeners collide on the same port of the same host, or of every host; a port the system chooses never does."""
    assert parse_address(one).collides_with(parse_address(other)) is collides
    assert parse_address(other).collides_with(parse_address(one)) is collides


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(0, 65535))
def test_what_is_written_can_be_read(host, port):
    """An address written and read again is the same, and loopback where Python says so."""
    address = Address(str(host), port)
    assert parse_address(str(address)) == address
    assert address.is_loopback is host.is_loopback


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text):
    """Nothing but a ValueError comes out of bad text."""
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert 0 <= address.port <= 65535
