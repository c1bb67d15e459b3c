"""The schema check calls wrong only what is wrong, follows nothing out of the schema, and ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.policies.schema_check import first_fault

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": ["integer", "null"]},
        "tags": {"type": "array", "items": {"enum": ["a"]}},
    },
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"name": "A"}, ""),
        ({"name": "A", "age": 3, "tags": ["a", "a"]}, ""),
        ({"name": "A", "age": 3.0}, ""),
        ({"name": "A", "age": None}, ""),
        ({}, "name"),
        ({"name": 3}, "name"),
        ({"name": "A", "age": 3.5}, "age"),
        ({"name": "A", "age": True}, "age"),
        ({"name": "A", "tags": ["a", "b"]}, "tags.1"),
        ({"name": "A", "more": 1}, "more"),
        ([], "."),
        (None, "."),
    ],
)
def test_a_fault_is_where_it_stands(value, fault):
    """Types, required keys, enumerations, items and keys that are not allowed."""
    assert first_fault(value, PERSON) == fault


@pytest.mark.parametrize(
    ("value", "schema", "fault"),
    [
        (3, {"anyOf": [{"type": "string"}, {"type": "number"}]}, ""),
        ([], {"anyOf": [{"type": "string"}, {"type": "number"}]}, "."),
        ({"a": 1}, {"allOf": [{"required": ["a"]}, {"required": ["b"]}]}, "b"),
        ("x", {"const": "x"}, ""),
        ("y", {"const": "x"}, "."),
        (
            {"a": {"b": 1}},
            {
                "$defs": {"n": {"type": "object", "properties": {"b": {"type": "string"}}}},
                "properties": {"a": {"$ref": "#/$defs/n"}},
            },
            "a.b",
        ),
        ({"x": 1}, {"patternProperties": {"^x": {}}, "additionalProperties": False}, ""),
        (1, False, "."),
        (1, True, ""),
        ("(a+)+$", {"type": "string", "pattern": "^z"}, ""),
        (1, {"$ref": "https://example.com/schema"}, ""),
        (1, {"type": "money"}, ""),
    ],
)
def test_keywords(value, schema, fault):
    """Those that are known are held; a pattern, a foreign reference or an unknown type is taken to be met."""
    assert first_fault(value, schema) == fault


def test_a_reference_to_itself_ends():
    """As does one in a circle, and a value as deep as its schema."""
    circle = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    assert first_fault(1, circle) == ""
    assert first_fault(1, {"$ref": "#"}) == ""
    tree = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    value = {}
    for _ in range(500):
        value = {"next": value}
    assert first_fault(value, tree) == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
)
KEYWORDS = st.sampled_from(
    ["type", "properties", "required", "items", "enum", "anyOf", "allOf", "$ref", "additionalProperties", "const"]
)


@given(JSON, st.dictionaries(KEYWORDS, JSON) | JSON)
def test_any_schema_gives_an_answer(value, schema):
    """A client's schema may be anything."""
    assert isinstance(first_fault(value, schema), str)
