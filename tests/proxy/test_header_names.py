"""Header names, whichever way they are written."""

import pytest

from jevons.proxy.header_names import KNOWN_NAMES, header_name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"content-type", "content-type"),
        (b"Content-Type", "content-type"),
        (b"CONTENT-TYPE", "content-type"),
        (b"X-Nobody-Knows-Me", "x-nobody-knows-me"),
        (b"x-" + b"A" * 1000, "x-" + "a" * 1000),
        (b"x-\xc9", "x-\xe9"),
    ],
)
def test_are_in_lower_case(raw, name):
    """The well-known ones and others, of any length; bytes beyond ASCII are Latin-1."""
    assert header_name(raw) == name


def test_those_that_are_looked_up_are_what_they_would_be_made_into():
    """Each is its own spelling in lower case."""
    assert all(name == raw.decode().lower() for raw, name in KNOWN_NAMES.items())
