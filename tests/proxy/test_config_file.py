"""From YAML to a configuration, or to every problem in it."""

from __future__ import annotations

from typing import get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from source_tree import ROOT

from jevons.proxy.config import Config, schema
from jevons.proxy.config_file import load_config, parse_config
from jevons.proxy.config_policies import AnyPolicy
from jevons.proxy.errors import ConfigError

SOUND = """\
upstreams:
  - name: chat
    url: http://127.0.0.1:8000/v1
    model: llama
"""


def problems(text, **options):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, **options)
    return caught.value.problems


def test_the_shipped_configuration():
    """The shipped file is valid with nothing but itself, has two upstreams of two kinds, and its first line finds the schema."""
    path = ROOT / "config.yaml"
    config = load_config(path, {})
    assert [(upstream.url, upstream.reasoning.value) for upstream in config.upstreams] == [
        ("http://127.0.0.1:8000/v1", "never"),
        ("http://127.0.0.1:8001/v1", "always"),
    ]
    first = path.read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=./")
    assert (ROOT / first.split("=")[1]).is_file()


DIALECTS = "auto, vllm, sglang, llama.cpp, ollama, openai, deepseek, transformers or litellm"
POLICIES = ", ".join(get_args(one)[1].tag for one in get_args(get_args(AnyPolicy)[0]))


def test_every_problem_at_once_where_it_stands():
    """All problems come in one error, in the order of the file, each with line, column, path and a guess."""
    text = """\
listen: 0.0.0.0:8800
workers: 0
upstreams:
  - name: chat
    url: ${CHAT_URL}
    model: 5
    max_concurency: 4
    energy: {joules_per_token: 1}
  - {name: chat, url: http://u:p@h/v1, model: x, dialect: litellmm, reasoning: allways}
policies:
  - type: rulez
  - type: gain
  - type: rules
    rules:
      - {name: proofs, when: {regex: "("}, to: chatt}
default: chat
default: direct
energy:
  pue: .inf
  carbon:
    gco2e: 1
"""
    assert problems(text, environment={}) == [
        "config.yaml:1:9: listen: beyond this machine: give auth.keys_file, or auth.allow_anonymous: true",
        "config.yaml:2:10: workers: must be at least 1, or auto",
        "config.yaml:5:10: upstreams.0.url: the environment variable CHAT_URL is not set",
        "config.yaml:6:12: upstreams.0.model: must be a string; put it in quotes if it looks like something else",
        "config.yaml:7:5: upstreams.0.max_concurency: unknown key, did you mean max_concurrency?",
        "config.yaml:8:13: upstreams.0.energy.fixed_joules_per_step: missing key",
        "config.yaml:8:13: upstreams.0.energy.joules_per_context_token: missing key",
        "config.yaml:8:13: upstreams.0.energy.joules_per_prompt_token: missing key",
        "config.yaml:9:12: upstreams.1.name: the name of upstreams.0 already",
        "config.yaml:9:23: upstreams.1.url: must not carry credentials; use api_key or api_key_file",
        f"config.yaml:9:59: upstreams.1.dialect: must be one of {DIALECTS}, did you mean litellm?",
        "config.yaml:9:80: upstreams.1.reasoning: must be one of never, always or switchable, did you mean always?",
        f"config.yaml:11:11: policies.0.type: must be one of {POLICIES}, did you mean rules?",
        "config.yaml:12:5: policies.1.value_joules: missing key",
        "config.yaml:15:38: policies.2.rules.0.when.regex: not a usable regular expression: unclosed group",
        "config.yaml:15:48: policies.2.rules.0.to: names no upstream; known are direct, reasoning, chat, did you mean chat?",
        "config.yaml:17:1: default: given twice, first on line 16",
        "config.yaml:19:8: energy.pue: must be a finite number",
        "config.yaml:21:5: energy.carbon.gco2e: unknown key, did you mean gco2e_per_kwh?",
    ]


def test_two_problems_of_one_value_are_both_told():
    """A listener can be wrong in two ways."""
    assert problems(SOUND + "admin: 0.0.0.0:8800\n") == [
        "config.yaml:5:8: admin: the same port as listen; the two must differ",
        "config.yaml:5:8: admin: beyond this machine: give admin_token, or admin_public: true",
    ]


def test_an_empty_file_lacks_upstreams():
    """A file without content says what is missing."""
    assert problems("") == ["config.yaml:1:1: upstreams: missing key"]


def test_a_tier_that_nobody_serves_by_default():
    """A lone reasoning model needs a word about the default, reported at the top of the file."""
    text = SOUND + "    reasoning: always\n"
    assert problems(text) == [
        "config.yaml:1:1: default: nobody serves direct: that takes an upstream with reasoning: never or switchable"
    ]
    assert parse_config(text + "default: reasoning\n").default == "reasoning"


@pytest.mark.parametrize("text", ["5", "[]", "a", "- x"])
def test_a_file_that_is_no_mapping(text):
    """Other YAML is refused as a whole."""
    assert problems(text) == ["config.yaml:1:1: must be a mapping"]


def test_values_from_the_environment():
    """Numbers and switches may come from the environment as well as texts."""
    text = SOUND + '    api_key: ${KEY}\ndrain_seconds: ${DRAIN:-5}\nadmin_public: "${PUBLIC}"\n'
    config = parse_config(text, environment={"KEY": "0123", "PUBLIC": "true"})
    assert config.upstreams[0].api_key.get_secret_value() == "0123"
    assert (config.drain_seconds, config.admin_public) == (5.0, True)


def test_problems_do_not_show_what_the_environment_holds():
    """A secret in the wrong place is reported without being told."""
    text = SOUND.replace("http://127.0.0.1:8000/v1", "${X}").replace(
        "llama", "llama\n    dialect: ${X}\n    context_tokens: ${X}"
    )
    found = problems(text + "default: ${X}\nadmin: ${X}\n", environment={"X": "hush hush"})
    assert len(found) == 5
    assert "hush" not in "".join(found)


def test_an_empty_secret_is_an_error():
    """A variable that is set to nothing does not silently mean no key."""
    [problem] = problems(SOUND + "    api_key: ${KEY}\n", environment={"KEY": ""})
    assert problem == "config.yaml:5:14: upstreams.0.api_key: must be visible ASCII characters without blanks"


def test_loads_files_beside_it(tmp_path):
    """The file's name leads its problems, and other files are sought beside it."""
    path = tmp_path / "my.yaml"
    path.write_text(SOUND + "auth: {keys_file: keys.yaml}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    assert caught.value.problems == [f"{path}:5:19: auth.keys_file: no such file"]
    (tmp_path / "keys.yaml").touch()
    assert load_config(path, {}).auth.keys_file == tmp_path / "keys.yaml"


def test_a_missing_file(tmp_path):
    """A file that is not there is an error of the configuration."""
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "config.yaml", {})


SECTIONS = schema()["$defs"].values()
KEYS = st.sampled_from([*Config.model_fields, *(key for section in SECTIONS for key in section.get("properties", {})), "urls"])
WORDS = st.sampled_from(["rules", "gain", "chat", "direct", "always", "0.0.0.0:1", "http://x/v1", "all", "(", "\0", "${X}"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=6),
    max_leaves=25,
)
UPSTREAMS = st.fixed_dictionaries(
    dict.fromkeys(("name", "url", "model"), VALUES), optional={"reasoning": VALUES, "energy": VALUES}
)
CONFIGS = st.fixed_dictionaries(
    {"upstreams": VALUES | st.lists(UPSTREAMS, max_size=3)},
    optional={key: VALUES for key in Config.model_fields if key != "upstreams"},
)


def is_config_or_error(text):
    """Whether parsing ends in one of the two ways it may end in."""
    try:
        return isinstance(parse_config(text, environment={"X": "${X}"}), Config)
    except ConfigError as error:
        return bool(error.problems) and all(one.startswith("config.yaml:") and "\n" not in one for one in error.problems)


@given(st.text())
def test_any_text_is_a_config_or_an_error(text):
    """Whatever the text, there is a configuration or a ConfigError with positions, and nothing else."""
    assert is_config_or_error(text)


@settings(max_examples=200)
@given(CONFIGS | VALUES)
def test_any_data_is_a_config_or_an_error(data):
    """So it is for text that has the shape of a configuration."""
    assert is_config_or_error(yaml.safe_dump(data, allow_unicode=True))


@given(st.data())
def test_any_damage_is_a_config_or_an_error(data):
    """So it is for the shipped file after any damage to it."""
    text = (ROOT / "config.yaml").read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    assert is_config_or_error(text[:start] + data.draw(st.text(max_size=10)) + text[end:])
