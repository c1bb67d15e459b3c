"""Header names, remembered or not."""

import pytest

from jevons.proxy.header_names import REMEMBERED_BYTES, header_name


@pytest.mark.parametrize("raw", [b"Content-Type", b"content-type", b"CONTENT-TYPE"])
def test_a_name_is_the_same_in_any_case(raw):
    """Asked once or twice."""
    assert header_name(raw) == header_name(raw) == "content-type"


def test_a_long_name_is_a_name_too():
    """Whether it is remembered or not; bytes beyond ASCII are what Latin-1 says."""
    assert header_name(b"X" * (REMEMBERED_BYTES + 1)) == "x" * (REMEMBERED_BYTES + 1)
    assert header_name(b"\xc4") == "\xe4"
