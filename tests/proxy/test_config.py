"""The typed sections of the configuration."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr, ValidationError
from source_tree import ROOT

from jevons.proxy.address import Address
from jevons.proxy.config import Config, LimitsSection, config_hash, schema, schema_text, to_upstreams
from jevons.proxy.errors import ConfigError
from jevons.proxy.exchange import Coefficients, Dialect, Reasoning, Timeouts, Upstream

CHAT = {"name": "chat", "url": "http://127.0.0.1:8000/v1", "model": "llama"}


def config(**more):
    return Config.model_validate({"upstreams": [CHAT], **more})


def with_upstream(**more):
    return config(upstreams=[{**CHAT, **more}])


def with_rule(when, **more):
    return config(policies=[{"type": "rules", "rules": [{"name": "r", "to": "chat", "when": when, **more}]}])


def locations(call):
    with pytest.raises(ValidationError) as caught:
        call()
    return [error["loc"] for error in caught.value.errors()]


def test_defaults():
    """One upstream is enough: everything else has the default of the contract."""
    made = config()
    assert (made.listen, made.admin) == (Address("127.0.0.1", 8800), Address("127.0.0.1", 9464))
    assert (made.auth, made.admin_token, made.admin_public, made.policies) == (None, None, False, ())
    assert (made.default, made.drain_seconds, made.energy.pue, made.energy.carbon) == ("direct", 30.0, 1.0, None)
    assert made.limits == LimitsSection(body_bytes=33_554_432, body_seconds=60.0, header_seconds=15.0)
    assert made.gather_milliseconds == 10.0


def test_to_upstreams_with_defaults():
    """What is left out becomes the default of the vocabulary."""
    assert to_upstreams(config()) == (Upstream(name="chat", base_url="http://127.0.0.1:8000/v1", model="llama"),)


def test_to_upstreams_with_everything(tmp_path):
    """Every key of an upstream reaches the vocabulary, and the key is read from its file."""
    (tmp_path / "key").write_text("secret\n")
    coefficients = {
        "fixed_joules_per_step": 1, "joules_per_token": 2, "joules_per_context_token": 0, "joules_per_prompt_token": 3.5,
    }  # fmt: skip
    made = with_upstream(
        url="https://host:1/v1/",
        reasoning="switchable",
        dialect="llama.cpp",
        devices=["GPU-1"],
        api_key_file=str(tmp_path / "key"),
        context_tokens=4096,
        abilities=["tools"],
        timeouts={"idle_seconds": 5},
        energy=coefficients,
    )
    assert to_upstreams(made) == (
        Upstream(
            name="chat",
            base_url="https://host:1/v1",
            model="llama",
            reasoning=Reasoning.SWITCHABLE,
            dialect=Dialect.LLAMA_CPP,
            devices=("GPU-1",),
            api_key="secret",
            context_tokens=4096,
            abilities=frozenset({"tools"}),
            timeouts=Timeouts(idle_seconds=5.0),
            coefficients=Coefficients(1.0, 2.0, 0.0, 3.5),
        ),
    )


@pytest.mark.parametrize("content", [b"", b"\n", b"a b", b"a\nb", b"\xff"])
def test_key_files_hold_one_key(tmp_path, content):
    """A key file that holds no key, or more than one, is an error that names the upstream and the file's own text nowhere."""
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"^upstreams\.0\.api_key_file: "):
        to_upstreams(with_upstream(api_key_file=str(path)))


def test_a_key_file_that_has_gone(tmp_path):
    """A key file that disappears after the configuration was read is an error, not an upstream without a key."""
    path = tmp_path / "key"
    path.write_text("x")
    made = with_upstream(api_key_file=str(path))
    path.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        to_upstreams(made)


def test_files_are_sought_in_the_folder_of_the_configuration(tmp_path):
    """A relative path is relative to the configuration, an absolute one stays."""
    (tmp_path / "keys.yaml").write_text("")
    raw = {"upstreams": [CHAT], "auth": {"keys_file": "keys.yaml"}}
    made = Config.model_validate(raw, context={"folder": tmp_path})
    assert made.auth.keys_file == tmp_path / "keys.yaml"
    assert locations(lambda: Config.model_validate(raw, context={"folder": tmp_path / "x"})) == [("auth", "keys_file")]
    assert locations(lambda: config(auth={"keys_file": "a\0b"})) == [("auth", "keys_file")]


@pytest.mark.parametrize(
    "url",
    [
        "", "127.0.0.1:8000", "ftp://x/v1", "http://", "http://:80/v1", "http://x:99999/v1", "http://[::1/v1", "http://x:0/v1",
        "http://user:pw@x/v1", "http://x/v1?a=b", "http://x/v1#a", "http://x /v1", "http://x/\nv1", "http://é/v1",
        "http://x/v1/chat/completions",
    ],
)  # fmt: skip
def test_bad_urls(url):
    """A URL has a scheme and a host, and neither credentials nor a query, and ends before the endpoint."""
    assert locations(lambda: with_upstream(url=url)) == [("upstreams", 0, "url")]


@pytest.mark.parametrize(
    ("more", "location"),
    [
        ({"auth": {}}, ("auth",)),
        ({"auth": {"allow_anonymous": False}}, ("auth",)),
        ({"auth": {"allow_anonymous": True, "keys_file": __file__}}, ("auth",)),
        ({"admin_token": ""}, ("admin_token",)),
        ({"admin_token": "a\nb"}, ("admin_token",)),
        ({"admin_token": 5}, ("admin_token",)),
        ({"listen": "8800"}, ("listen",)),
        ({"listen": 8800}, ("listen",)),
        ({"upstreams": []}, ("upstreams",)),
        ({"drain_seconds": -1}, ("drain_seconds",)),
        ({"drain_seconds": float("inf")}, ("drain_seconds",)),
        ({"energy": {"pue": 0.9}}, ("energy", "pue")),
        ({"energy": {"carbon": {}}}, ("energy", "carbon")),
        ({"limits": {"body_bytes": 0}}, ("limits", "body_bytes")),
        ({"gather_milliseconds": -1}, ("gather_milliseconds",)),
        ({"gather_milliseconds": 1001}, ("gather_milliseconds",)),
        ({"policies": [{}]}, ("policies", 0)),
        ({"policies": [{"type": "caller", "x": 1}]}, ("policies", 0, "caller", "x")),
        ({"policies": [{"type": "rules", "rules": []}]}, ("policies", 0, "rules", "rules")),
    ],
)
def test_bad_values(more, location):
    """A bad value is refused where it stands."""
    assert locations(lambda: config(**more)) == [location]


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"name": "a;b"}, "name"),
        ({"model": " "}, "model"),
        ({"devices": []}, "devices"),
        ({"devices": "GPU-1"}, "devices"),
        ({"devices": ["GPU-1", "0"]}, "devices"),
        ({"devices": ["http://user:key@node:4938"]}, "devices"),
        ({"api_key": "a b"}, "api_key"),
        ({"context_tokens": 0}, "context_tokens"),
        ({"abilities": ["magic"]}, "abilities"),
        ({"timeouts": {"idle_seconds": 0}}, "timeouts"),
        ({"energy": {"fixed_joules_per_step": 1, "joules_per_token": 1, "joules_per_context_token": 1}}, "energy"),
        ({"api_key": "x", "api_key_file": __file__}, None),
    ],
)
def test_bad_upstreams(more, key):
    """A bad value of an upstream is refused; the four coefficients stand together or not at all; one key is enough."""
    [location] = locations(lambda: with_upstream(**more))
    assert location[:3] == (("upstreams", 0) if key is None else ("upstreams", 0, key))


def test_devices():
    """`all` is a word, and left out is not the same."""
    assert with_upstream(devices="all").upstreams[0].devices == ("all",)
    assert with_upstream().upstreams[0].devices is None
    named = with_upstream(devices=["GPU-1", "cpu", "http://node:4938/", "dcgm+http://node:9400"]).upstreams[0].devices
    assert named == ("GPU-1", "cpu", "http://node:4938", "dcgm+http://node:9400/metrics")


def test_rules_hold_their_conditions():
    """A rule's conditions are kept, its expression compiled."""
    made = with_rule({"keywords": ["prove"], "regex": "(?i)lemma", "prompt_tokens": {"min": 5}, "has": ["code", "tools"]})
    when = made.policies[0].rules[0].when
    assert when.keywords == ("prove",)
    assert when.regex.search("Lemma 1")
    assert (when.prompt_tokens.min, when.prompt_tokens.max, when.has) == (5, None, ("code", "tools"))


@pytest.mark.parametrize(
    "when",
    [
        {}, {"keywords": []}, {"keywords": [""]}, {"regex": "("}, {"regex": "a" * 501}, {"has": ["smell"]}, {"has": []},
        {"prompt_tokens": {}}, {"prompt_tokens": {"min": 3, "max": 2}}, {"prompt_tokens": {"min": -1}}, {"tenant": "x"},
    ],
)  # fmt: skip
def test_bad_conditions(when):
    """A rule without a usable condition is refused."""
    [location] = locations(lambda: with_rule(when))
    assert location[:6] == ("policies", 0, "rules", "rules", 0, "when")


def test_checks_between_sections_come_along():
    """What is wrong between sections and within them comes in one error, also for a configuration made in Python."""
    raw = {"upstreams": [{**CHAT, "name": "auto"}, {**CHAT, "model": 5}], "default": "nobody", "listen": "0.0.0.0:1"}
    assert sorted(locations(lambda: Config.model_validate(raw)), key=str) == [
        ("default",), ("listen",), ("upstreams", 0, "name"), ("upstreams", 1, "model"),
    ]  # fmt: skip
    assert Config.model_validate(config()) == config()


def test_secrets_are_not_shown():
    """Neither a representation nor an error shows a secret."""
    token, key = "hush-1", "hush-2"
    made = config(admin_token=token, upstreams=[{**CHAT, "api_key": key}])
    assert made.admin_token == SecretStr(token)
    assert "hush" not in repr(made) + str(made) + made.model_dump_json() + repr(to_upstreams(made))
    with pytest.raises(ValidationError) as caught:
        config(admin_token=f"{token} ", upstreams=[{**CHAT, "api_key": f"{key} ", "url": "http://hush:3@x"}])
    assert "hush" not in str(caught.value)


def test_hash_changes_with_settings_but_not_with_secrets():
    """The hash tells two configurations apart, is the same in every process, and cannot be used to guess a secret."""
    assert config_hash(config()) == config_hash(config())
    assert config_hash(config()) != config_hash(config(drain_seconds=31))
    assert config_hash(with_upstream(api_key="one")) == config_hash(with_upstream(api_key="two"))
    assert config_hash(with_upstream(abilities=["tools", "images", "json_schema"])) == config_hash(
        with_upstream(abilities=("tools", "images", "json_schema"))
    )
    assert len(config_hash(config())) == 16


def test_the_schema_file_is_up_to_date():
    """Editors see what the code accepts; `config.schema_text()` writes the file."""
    assert (ROOT / "proxy" / "config.schema.json").read_text() == schema_text()


def test_the_schema_names_every_key():
    """The schema refuses unknown keys at every level and carries the documented ones."""
    made = schema()
    assert json.loads(schema_text()) == made
    assert made["required"] == ["upstreams"]
    assert set(made["properties"]) == set(Config.model_fields)
    assert [name for name, section in made["$defs"].items() if "properties" in section and section["additionalProperties"]] == []
    assert made["properties"]["listen"]["type"] == "string"
