"""Keys: digests, tenants, and files that say what is wrong with them."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.errors import ConfigError
from jevons.proxy.exchange import Tier
from jevons.proxy.identity import Identity
from jevons.proxy.keys import CurrentKeys, Keys, digest_of, load_keys, new_key, parse_keys


def test_a_new_key_opens_its_tenant():
    """The line of a new key goes into the file as it is, and then the key belongs to its tenant."""
    key, line = new_key("alice", "laptop")
    other, other_line = new_key("bob", "true")
    keys = parse_keys("# ours\n" + line + other_line)
    assert (keys.identity_of(key).tenant, keys.identity_of(other).tenant) == ("alice", "bob")


def test_new_keys_are_long_and_never_alike():
    """A key is jev- and 256 random bits in characters that fit a header, and its line does not hold it."""
    made = {new_key("alice", "laptop") for _ in range(50)}
    assert len({key for key, _ in made}) == 50
    for key, line in made:
        assert key.startswith("jev-")
        assert len(key) == 47
        assert key.isascii()
        assert " " not in key
        assert key not in line
        assert hashlib.sha256(key.encode()).hexdigest() in line


@pytest.mark.parametrize(("tenant", "name"), [("", "x"), ("a", "x y"), ("a\n- b", "x"), ("a\n", "x")])
def test_new_keys_have_plain_names(tenant, name):
    """What could break the file or a label is refused before a key is made."""
    with pytest.raises(ConfigError, match="must be 1 to 64"):
        new_key(tenant, name)


@given(st.text(st.characters()))
def test_no_other_text_opens_anything(bearer):
    """Any other bearer, even one that is no text, belongs to nobody."""
    keys = parse_keys(f"- {{name: a, tenant: b, sha256: {digest_of('the key')}}}")
    assert keys.identity_of(bearer) is None
    assert keys.identity_of(digest_of("the key")) is None


def test_an_empty_bearer_belongs_to_nobody():
    """No keys, no tenant."""
    assert Keys({}).identity_of("") is None


def test_all_problems_at_once_with_their_places():
    """Every problem of the file is reported where it stands, and nothing that was written is shown."""
    digest = digest_of("x")
    text = (
        f"- {{name: one, tenant: t, sha256: {digest}}}\n"
        "- {name: two, tennant: t, sha256: jev-in-plain-text}\n"
        f"- {{name: 3, tenant: a b, sha256: {digest}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        parse_keys(text)
    assert caught.value.problems == [
        "keys.yaml:2:3: 1.tenant: missing key",
        "keys.yaml:2:15: 1.tennant: unknown key, did you mean tenant?",
        "keys.yaml:2:35: 1.sha256: must match ^[0-9a-f]{64}$",
        "keys.yaml:3:10: 2.name: must be a string; put it in quotes if it looks like something else",
        "keys.yaml:3:21: 2.tenant: must be 1 to 64 letters, digits or . _ : - and begin with a letter or a digit",
    ]
    assert "plain-text" not in str(caught.value)


def test_names_and_digests_stand_once():
    """Two entries with one name, or one digest, would make a key's tenant a matter of luck."""
    _, line = new_key("alice", "laptop")
    with pytest.raises(ConfigError) as caught:
        parse_keys(line + line.replace("alice", "bob"))
    assert [problem.split(": ", 1)[1] for problem in caught.value.problems] == [
        "1.name: the name of entry 0 already",
        "1.sha256: the sha256 of entry 0 already",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "no keys"), ("[]", "no keys"), ("a: b", "must be a list"), ("- x", "must be a mapping"), ("[", "not YAML")],
)
def test_files_that_hold_no_keys(text, message):
    """A file without keys would lock everybody out, which is an error at the start and not later."""
    with pytest.raises(ConfigError, match=message):
        parse_keys(text)


def test_loads_from_a_file(tmp_path):
    """The file's own name leads its problems."""
    path = tmp_path / "keys.yaml"
    key, line = new_key("alice", "laptop")
    path.write_text(line)
    assert load_keys(path).identity_of(key).tenant == "alice"
    path.write_text(line.replace("tenant", "tenants"))
    with pytest.raises(ConfigError, match=r"keys\.yaml:1:3: 0\.tenant: missing key"):
        load_keys(path)
    path.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        load_keys(path)


def test_a_key_may_be_for_direct_answers_only():
    """Its tier goes with the tenant to the request, as does the key's name; a key without one may use any."""
    (own, own_line), (other, other_line) = new_key("alice", "laptop"), new_key("alice", "phone")
    keys = parse_keys(own_line.replace("sha256", "tier: direct, sha256") + other_line)
    assert [(tenant.key, tenant.ceiling) for tenant in map(keys.identity_of, (own, other))] == [
        ("laptop", Tier.DIRECT),
        ("phone", None),
    ]
    current = CurrentKeys(keys)
    current.keys = parse_keys(other_line)
    assert (current.identity_of(own), current.identity_of(other).tenant) == (None, "alice")


def test_a_key_says_what_its_holder_may_have():
    """Upstreams, how often, and whether anything may leave this network; what it does not say is not limited."""
    keys = parse_keys(
        f'- {{name: a, tenant: t, sha256: "{"0" * 64}", models: [chat, org/model], requests_per_minute: 30, cloud: false}}\n'
        f'- {{name: b, tenant: t, sha256: "{digest_of("b")}"}}\n'
    )
    limited = keys.entries["0" * 64]
    assert (limited.models, limited.requests_per_minute, limited.cloud) == (("chat", "org/model"), 30.0, False)
    assert keys.identity_of("b") == Identity("t", "b")


@pytest.mark.parametrize("field", ["models: []", "requests_per_minute: 0", "requests_per_minute: -1", "tier: high"])
def test_limits_that_make_no_sense_are_refused(field):
    """By the entry and the field."""
    with pytest.raises(ConfigError, match=rf"1:\d+: 0\.{field.split(':')[0]}"):
        parse_keys(f'- {{name: a, tenant: t, sha256: "{"0" * 64}", {field}}}\n')
