"""The kinds of value that sections share: each refuses what cannot be used, and says why."""

from pathlib import Path

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from jevons.proxy.config_values import ExistingFile, NewFile, Origin, Secret, Url, Words, is_secret


def read(kind, value, folder=None):
    """The value as a section would hold it."""
    return TypeAdapter(kind).validate_python(value, context={"folder": folder})


def refusal(kind, value, folder=None):
    """Why it would not."""
    with pytest.raises(ValidationError) as caught:
        read(kind, value, folder)
    return caught.value.errors()[0]["msg"].removeprefix("Value error, ")


@pytest.mark.parametrize("kind", [Url, Origin])
def test_addresses(kind):
    """A slash at the end is none; everything that is no plain address of a server is refused."""
    assert read(kind, "http://127.0.0.1:8000/v1/") == "http://127.0.0.1:8000/v1"
    for text in ("127.0.0.1:8000", "ftp://host", "http://", "http://host:0", "http://[::1", "http://hóst", "http://a b"):
        assert refusal(kind, text) == "must be a URL such as http://127.0.0.1:8000/v1"
    assert refusal(kind, "http://me:secret@host") == "must not carry credentials; use api_key or api_key_file"
    for text in ("http://host?a=b", "http://host#x", "http://host?"):
        assert refusal(kind, text) == "must have no query and no fragment"


def test_an_address_of_an_api_ends_where_its_paths_begin():
    """The whole address of an endpoint is a common mistake; elsewhere it is an address as any other."""
    assert "must end where /chat/completions begins" in refusal(Url, "http://host/v1/chat/completions")
    assert read(Origin, "http://host/completions") == "http://host/completions"


def test_secrets():
    """What can stand in a header, and is not shown."""
    assert read(Secret, "s3cret").get_secret_value() == "s3cret"
    for text in ("", "a b", "sécret", "a\n"):
        assert refusal(Secret, SecretStr(text)) == "must be visible ASCII characters without blanks"
        assert not is_secret(text)


def test_words():
    """Blanks around them do not count, and nothing else is not enough."""
    assert read(Words, " llama ") == "llama"
    with pytest.raises(ValidationError):
        read(Words, "  ")


def test_files(tmp_path):
    """One that is there, beside the configuration or anywhere; a new one needs its folder only."""
    (tmp_path / "key").write_text("k")
    assert read(ExistingFile, "key", tmp_path) == tmp_path / "key"
    assert read(ExistingFile, str(tmp_path / "key")) == tmp_path / "key"
    assert read(NewFile, "new", tmp_path) == tmp_path / "new"
    for kind, path in ((ExistingFile, "new"), (ExistingFile, "."), (ExistingFile, "a\0b")):
        assert refusal(kind, path, tmp_path) == "no such file"
    for path in ("missing/new", ".", "a\0b"):
        assert refusal(NewFile, path, tmp_path) == "no such folder"
    assert read(NewFile, "key", Path(tmp_path)) == tmp_path / "key"
