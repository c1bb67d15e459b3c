"""YAML with positions and bounds."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.errors import ConfigError
from jevons.proxy.marked_yaml import MAX_CHARACTERS, MAX_DEPTH, MAX_NODES, Problem, dotted, read_text, read_yaml


def lines(text, environment=None):
    return [problem.line("f") for problem in read_yaml(text, environment).problems]


def test_plain_data():
    """Scalars become what YAML says, and what is quoted stays text."""
    document = read_yaml("a: 1\nb: [1.5, true, ~, x, '1']\nc: {d: }\ne: 2026-01-01\n")
    assert document.problems == []
    assert document.data == {"a": 1, "b": [1.5, True, None, "x", "1"], "c": {"d": None}, "e": "2026-01-01"}


def test_positions():
    """A path leads to its value or to its key, and what is missing to the nearest parent."""
    document = read_yaml("a:\n  - {b: 1,\n     c: 2}\n")
    assert document.position(("a", 0, "c")) == (3, 9)
    assert document.position(("a", 0, "c"), of_key=True) == (3, 6)
    assert document.position(("a", 0, "missing")) == (2, 5)
    assert document.position(("a", 7)) == (2, 3)
    assert document.position(()) == (1, 1)


def test_values():
    """A path leads to its value, and one that leads nowhere to None."""
    document = read_yaml("a: [{b: 1}]")
    assert document.value(("a", 0, "b")) == 1
    assert [document.value(path) for path in [("a", 1), ("a", "b"), ("b",), ("a", 0, "b", "c")]] == [None] * 4


def test_an_empty_file_is_no_error():
    """An empty file has no data and no problem."""
    document = read_yaml("# nothing\n")
    assert (document.data, document.problems, document.is_readable) == (None, [], True)
    assert document.position(("a",)) == (1, 1)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a: [1\nb: 2\n", "f:2:2: not YAML: expected ',' or ']'"),
        ("a: b: c\n", "f:1:5: not YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 2\n", "f:2:1: not YAML: but found another document"),
        ("a: *b\n", "f:1:4: not YAML: found undefined alias 'b'"),
        ("a: 1\nb: \x00\n", "f:2:4: not YAML: special characters are not allowed"),
        ("a: {b: ${C}}\n", "f:1:9: not YAML: expected ',' or '}', but got '{', while parsing a flow mapping (within {…}"),
    ],
)
def test_syntax_errors_have_a_place(text, start):
    """What is not YAML is one problem with line and column, and there is no data."""
    document = read_yaml(text)
    assert [problem.line("f").startswith(start) for problem in document.problems] == [True]
    assert not document.is_readable


def test_a_key_given_twice_is_a_problem():
    """YAML would silently take the last one."""
    assert lines("a: 1\nb: 2\na: 3\n") == ["f:3:1: a: given twice, first on line 1"]


def test_keys_are_words():
    """A list or a mapping as a key is refused, and a number as a key is its text."""
    assert lines("? [a]\n: 1\n") == ["f:1:3: a key must be a plain word"]
    assert read_yaml("1: x").data == {"1": "x"}


@pytest.mark.parametrize(
    "value", ["!!python/object/apply:os.system [x]", "!!binary aGk=", "!x 5", "!!set {a, b}", "!!int x", "!!bool x"]
)
def test_tags_name_nothing(value):
    """A tag is refused, whatever it names."""
    assert lines(f"a: {value}")[0] == "f:1:4: a: tags are not supported; put quotes around a value that must stay text"


def test_numbers_that_are_none_stay_text():
    """A scalar that looks like a number and is none stays text for the sections to judge."""
    assert read_yaml("a: 0x_").data == {"a": "0x_"}
    assert read_yaml(f"a: {'9' * 5000}").data == {"a": "9" * 5000}


def test_depth_is_bounded():
    """Nesting deeper than anyone needs is refused before it can exhaust the stack."""
    assert lines("[" * 50_000)[0].endswith(f"not YAML: nested deeper than {MAX_DEPTH} levels")


def test_aliases_unfold_to_a_bounded_size():
    """A few lines of aliases cannot become gigabytes, and an alias to its own parent does not end the process."""
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    assert lines(bomb) == [f"f:1:1: more than {MAX_NODES} values, aliases unfolded"]
    assert lines("a: &a [*a]") == [f"f:1:1: more than {MAX_NODES} values, aliases unfolded"]
    assert read_yaml("a: &a [1]\nb: *a\n").data == {"a": [1], "b": [1]}


def test_size_is_bounded():
    """A file larger than any configuration is not even parsed."""
    assert lines("#" * (MAX_CHARACTERS + 1)) == [f"f:1:1: larger than {MAX_CHARACTERS} characters"]


def test_environment():
    """Variables stand whole or within a value; a default serves an unset and an empty one; `$${` is a plain `${`."""
    text = 'a: ${A}\nb: x${A}y${A}\nc: ${B:-z}\nd: ${EMPTY:-z}\ne: ${B:-}\nf: $${A}\ng: "${A}"\nh: $A\n'
    document = read_yaml(text, {"A": "1", "EMPTY": ""})
    assert document.problems == []
    assert document.data == {"a": "1", "b": "x1y1", "c": "z", "d": "z", "e": "", "f": "${A}", "g": "1", "h": "$A"}


def test_environment_problems():
    """An unset variable and a malformed one are problems where they stand, and a key is never substituted."""
    assert lines("a: 1\nb: [x, 'y${NO}']\nc: ${1}\n", {}) == [
        "f:2:8: b.1: the environment variable NO is not set",
        "f:3:4: c: a ${ must begin ${NAME} or ${NAME:-default}; write $${ for a plain ${",
    ]
    assert read_yaml('"${A}": 1', {"A": "b"}).data == {"${A}": 1}


def test_environment_is_optional():
    """Without an environment `${` means nothing."""
    assert read_yaml("a: ${A}").data == {"a": "${A}"}


def test_values_from_the_environment_are_not_substituted_again():
    """A variable's value is taken as it is."""
    assert read_yaml("a: ${A}", {"A": "${A}"}).data == {"a": "${A}"}


def test_a_problem_stays_on_its_line():
    """A key with a line break cannot forge a second line of output."""
    assert dotted(("a", 0, "b\nc")) == "a.0.'b\\nc'"
    assert Problem((1, 2), (), "m").line("f") == "f:1:2: m"


def test_reads_files(tmp_path):
    """A file is read as UTF-8, with or without a byte order mark."""
    path = tmp_path / "x.yaml"
    path.write_bytes("\ufeffé: 1".encode())
    assert read_text(path) == "é: 1"


def test_files_that_cannot_be_read(tmp_path):
    """A missing file, a folder, foreign bytes and a huge file are errors that name the file."""
    path = tmp_path / "x.yaml"
    with pytest.raises(ConfigError, match=r"x\.yaml: No such file"):
        read_text(path)
    with pytest.raises(ConfigError, match="directory"):
        read_text(tmp_path)
    path.write_bytes(b"a: 1\nb: \xff")
    with pytest.raises(ConfigError, match=r"x\.yaml:2:4: not UTF-8"):
        read_text(path)
    path.write_bytes(b"#" * (4 * MAX_CHARACTERS + 1))
    with pytest.raises(ConfigError, match="larger than"):
        read_text(path)
    with pytest.raises(ConfigError, match="not a file name"):
        read_text(tmp_path / "a\0b")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc${}", max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_agrees_with_the_safe_loader(data):
    """What PyYAML dumps is read as PyYAML's safe loader reads it, and every value has a place."""
    text = yaml.safe_dump(data, allow_unicode=True)
    document = read_yaml(text)
    assert document.problems == []
    assert document.data == yaml.safe_load(text)


@given(st.text("ab:-[]{}&*!|>'\"#%@ \n\t0.,?$~", max_size=80), st.dictionaries(st.just("a"), st.text()))
def test_any_text_is_data_or_problems(text, environment):
    """Whatever is written, nothing is raised, and a problem lies within the text."""
    for problem in read_yaml(text, environment).problems:
        assert 1 <= problem.position[0] <= text.count("\n") + 2
