"""The SQL in its files."""

from __future__ import annotations

from jevons.exporters.ledger.statements import migrations, query, split


def test_migrations_are_numbered_without_a_gap():
    """The first is 1, each has statements, and none is missing."""
    steps = migrations()
    assert [step.version for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.statements for step in steps)


def test_a_script_is_split_into_statements():
    """Comments go, even with a semicolon in them, and so does the empty end."""
    assert split("-- first; of all\nCREATE TABLE a (b TEXT); -- more\n\nDROP TABLE a;\n") == (
        "CREATE TABLE a (b TEXT)",
        "DROP TABLE a",
    )


def test_a_query_is_one_statement():
    """What is asked for by name is the text of its file."""
    assert query("find_request").startswith("SELECT")
    assert len(split(query("find_request"))) == 1
