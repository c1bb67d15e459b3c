"""`jevons route` on the command line."""

import json

from click.testing import CliRunner

from jevons.proxy.cli import main

CONFIG = """
upstreams:
  - {name: chat, url: "http://chat/v1", model: a}
  - {name: thinker, url: "http://thinker/v1", model: b, reasoning: always}
policies:
  - {type: rules, rules: [{name: proofs, when: {keywords: [prove]}, to: reasoning}]}
"""
ROW = {"request_id": "r1", "started_at": 1.0, "upstream": "chat", "route": "default:direct;to=chat", "prompt": "Prove it"}


def run(tmp_path, *arguments, config=CONFIG, line=None):
    """One run over one request."""
    (tmp_path / "config.yaml").write_text(config)
    (tmp_path / "past.jsonl").write_text(line or json.dumps(ROW))
    names = ["route", "replay", str(tmp_path / "past.jsonl"), "--config", str(tmp_path / "config.yaml")]
    return CliRunner().invoke(main, [*names, *arguments])


def test_replay_for_people_and_as_json(tmp_path):
    """What would have moved."""
    assert "1  chat (direct) -> thinker (reasoning)" in run(tmp_path).output
    report = json.loads(run(tmp_path, "--json").output)
    assert report["overall"]["moved"] == 1
    assert report["by_tenant"].keys() == {"default"}


def test_exit_codes(tmp_path):
    """2 for a configuration that cannot be run, 1 for a past that cannot be read."""
    bad = run(tmp_path, config=CONFIG.replace("proofs", "pro ofs"))
    assert bad.exit_code == 2
    assert "policies.0.rules.0.name" in bad.output
    assert run(tmp_path, line="{").exit_code == 1
