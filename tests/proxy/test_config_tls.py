"""Tests of the section `tls`."""

from __future__ import annotations

import subprocess

import pytest

from jevons.proxy.config_file import parse_config
from jevons.proxy.errors import ConfigError

BASE = "upstreams: [{name: a, url: 'http://127.0.0.1:1/v1', model: m}]\n"


def make_pair(folder, name, *extra):
    """A certificate for this machine and its key."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2", "-subj", "/CN=a"]
    files = ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"]
    subprocess.run([*command, *files, *(extra or ["-nodes"])], check=True, capture_output=True)


def read(folder, certificate, key):
    """What a configuration beside the files makes of them."""
    text = BASE + f"tls: {{certificate_file: {certificate}, key_file: {key}}}\n"
    return parse_config(text, folder=folder).tls


def test_a_pair_makes_a_context(tmp_path):
    """Found beside the configuration."""
    make_pair(tmp_path, "a")
    assert read(tmp_path, "a.pem", "a.key").context().minimum_version.name == "TLSv1_2"


def test_files_that_are_no_pair_are_refused(tmp_path):
    """By name, before anything listens: of two pairs, of a passphrase that nobody gave, of something else altogether."""
    make_pair(tmp_path, "a")
    make_pair(tmp_path, "b")
    make_pair(tmp_path, "locked", "-passout", "pass:secret")
    (tmp_path / "text.pem").write_text("hello")
    for certificate, key in (("a.pem", "b.key"), ("locked.pem", "locked.key"), ("text.pem", "a.key")):
        with pytest.raises(ConfigError) as failure:
            read(tmp_path, certificate, key)
        assert "2:6: tls: certificate and key cannot be used" in str(failure.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    """With its key."""
    make_pair(tmp_path, "a")
    with pytest.raises(ConfigError, match=r"tls\.key_file"):
        read(tmp_path, "a.pem", "missing.key")
