"""The route as a header."""

from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.route_header import PART_CHARACTERS, write_route


def test_says_who_decided_why_and_where_to():
    """As the contract has it."""
    assert write_route("rules", "proofs", "thinker") == "rules:proofs;to=thinker"


def test_what_has_no_place_in_a_header_is_replaced():
    """A line break, which would begin another header; the semicolon, which parts a route; letters beyond ASCII."""
    assert write_route("rules", "a;b\r\nc", "modèle") == "rules:a_b__c;to=mod_le"


@given(policy=st.text(), word=st.text(), to=st.text())
def test_is_always_one_line_of_ascii(policy, word, to):
    """Of bounded length, with one semicolon."""
    route = write_route(policy, word, to)
    assert route.isascii()
    assert route.isprintable()
    assert route.count(";") == 1
    assert len(route) <= 3 * PART_CHARACTERS + len(":;to=")
