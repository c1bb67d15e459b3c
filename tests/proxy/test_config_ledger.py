"""The section `ledger`."""

from __future__ import annotations

import pytest

from jevons.proxy.config_file import parse_config
from jevons.proxy.errors import ConfigError

UPSTREAM = "upstreams: [{name: chat, url: 'http://127.0.0.1:8000/v1', model: m}]\n"


def ledger(text, tmp_path):
    """The section, as it was written."""
    return parse_config(UPSTREAM + f"ledger: {text}\n", folder=tmp_path, environment={"PG_PASSWORD": "s3cret"}).ledger


def test_a_file_lies_beside_the_configuration(tmp_path):
    """With what holds where nothing else is said: prompts are not kept, nothing is deleted."""
    section = ledger("{path: jevons.db}", tmp_path)
    assert section.path == tmp_path / "jevons.db"
    assert (section.prompts, section.retention_days, section.flush_seconds) == (False, None, 2.0)
    assert parse_config(UPSTREAM, folder=tmp_path, environment={}).ledger is None


def test_a_url_keeps_its_password(tmp_path):
    """It may come from the environment, and is not shown."""
    section = ledger("{url: 'postgresql://jevons:${PG_PASSWORD}@db.example:5432/jevons'}", tmp_path)
    assert section.url.get_secret_value() == "postgresql://jevons:s3cret@db.example:5432/jevons"
    assert "s3cret" not in repr(section)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "ledger: give path or url, one of them"),
        ("{path: a.db, url: 'postgresql://h/d'}", "ledger: give path or url, one of them"),
        ("{url: 'mysql://h/d'}", "ledger.url: must be such as postgresql://"),
        ("{url: 'postgresql://h'}", "ledger.url: must be such as postgresql://"),
        ("{path: nowhere/jevons.db}", "ledger.path: no such folder"),
        ("{path: a.db, retention_days: 0}", "ledger.retention_days: "),
        ("{path: a.db, flush_seconds: 0}", "ledger.flush_seconds: "),
        ("{path: a.db, promts: true}", "did you mean prompts"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path, text, message):
    """With the line and the key."""
    with pytest.raises(ConfigError) as caught:
        ledger(text, tmp_path)
    assert message in str(caught.value)
    assert ":2:" in str(caught.value) or "line 2" in str(caught.value)
