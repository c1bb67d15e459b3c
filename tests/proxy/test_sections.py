"""Typed sections: strictness, labels, and errors in words."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import PositiveInt, TypeAdapter, ValidationError

from jevons.proxy.errors import ConfigError
from jevons.proxy.marked_yaml import read_yaml
from jevons.proxy.sections import LABEL_MESSAGE, Label, Section, hint, is_label, validated


class Wheel(Section):
    """A section within a section."""

    name: Label
    inches: PositiveInt = 26
    kind: Literal["front", "back"] = "front"


class Bicycle(Section):
    """A section."""

    wheels: tuple[Wheel, ...] = ()
    has_bell: bool = False


def problems(text, **options):
    document = read_yaml(text)
    with pytest.raises(ConfigError) as caught:
        validated(document, "f", Bicycle, lambda: Bicycle.model_validate(document.data), **options)
    return caught.value.problems


def test_gives_what_was_validated():
    """A document without problems becomes what the validation makes of it."""
    document = read_yaml("wheels: [{name: a, inches: 28}]")
    bicycle = validated(document, "f", Bicycle, lambda: Bicycle.model_validate(document.data))
    assert bicycle == Bicycle(wheels=(Wheel(name="a", inches=28),))


def test_sections_do_not_change():
    """A section is frozen."""
    with pytest.raises(ValidationError, match="frozen"):
        Bicycle().has_bell = True


def test_errors_are_in_words_in_the_order_of_the_file():
    """Each kind of error names the path and what was expected, never pydantic's own terms, in the order of the lines."""
    text = "has_bel: 1\nhas_bell: maybe\nwheels:\n  - {inches: 0, kind: frnt}\n  - {name: a b, inches: 1.5}\n  - 5\n"
    assert problems(text) == [
        "f:1:1: has_bel: unknown key, did you mean has_bell?",
        "f:2:11: has_bell: must be true or false",
        "f:4:5: wheels.0.name: missing key",
        "f:4:14: wheels.0.inches: must be greater than 0",
        "f:4:23: wheels.0.kind: must be one of front or back, did you mean front?",
        f"f:5:12: wheels.1.name: {LABEL_MESSAGE}",
        "f:5:25: wheels.1.inches: must be a whole number",
        "f:6:5: wheels.2: must be a mapping",
    ]


def test_the_documents_own_problem_stands_for_what_follows_from_it():
    """What a document reports at a place is not reported there again by the validation."""
    assert problems("wheels: !x y") == ["f:1:9: wheels: tags are not supported; put quotes around a value that must stay text"]


def test_nothing_is_validated_of_what_is_not_yaml():
    """A syntax error stands alone: missing keys would only follow from it."""
    assert len(problems("wheels: [")) == 1


def test_messages_outside_the_table_are_pydantics():
    """An error without words of its own keeps those it came with."""
    document = read_yaml("[1]")
    with pytest.raises(ConfigError, match="f:1:2: 0: Input should be None"):
        validated(document, "f", Bicycle, lambda: TypeAdapter(list[None]).validate_python(document.data))


@pytest.mark.parametrize("text", ["a", "A.b_c:d-9", "0", "a" * 64])
def test_labels(text):
    """A label is letters, digits and a few signs."""
    assert is_label(text)
    assert TypeAdapter(Label).validate_python(text) == text


@pytest.mark.parametrize("text", ["", "-a", "a b", "a;b", "é", "a\n", "a" * 65])
def test_what_is_no_label(text):
    """What could break a header or a metric is no label."""
    assert not is_label(text)
    with pytest.raises(ValidationError):
        TypeAdapter(Label).validate_python(text)


def test_hints_only_at_what_is_close():
    """A guess is made only where one is likely."""
    assert hint("upstream", ["upstreams", "listen"]) == ", did you mean upstreams?"
    assert hint("xyz", ["upstreams"]) == hint(None, []) == ""
