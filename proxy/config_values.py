"""The kinds of value that the sections of the configuration share: addresses, secrets, files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, ValidationInfo


def _checked_origin(text: str) -> str:
    """An address that says where to ask, and no more than that."""
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_host, parts = False, urlsplit("")
    if parts.scheme not in {"http", "https"} or not has_host or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be a URL such as http://127.0.0.1:8000/v1")
    if parts.username is not None:
        raise ValueError("must not carry credentials; use api_key or api_key_file")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError("must have no query and no fragment")
    return text.rstrip("/")


def _checked_url(text: str) -> str:
    path = _checked_origin(text)
    if path.endswith("/completions"):
        raise ValueError("must end where /chat/completions begins, such as http://127.0.0.1:8000/v1")
    return path


def _checked_secret(secret: SecretStr) -> SecretStr:
    if not is_secret(secret.get_secret_value()):
        raise ValueError("must be visible ASCII characters without blanks")
    return secret


def is_secret(text: str) -> bool:
    """Whether `text` can stand in an `Authorization` header."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _beside_configuration(path: Path, info: ValidationInfo) -> Path:
    """The path, relative to the configuration's own folder where that is known."""
    folder = info.context.get("folder") if isinstance(info.context, dict) else None
    return folder / path if isinstance(folder, Path) else path


def _found_file(path: Path, info: ValidationInfo) -> Path:
    found = _beside_configuration(path, info)
    try:
        exists = found.is_file()
    except ValueError:  # a NUL in the path
        exists = False
    if not exists:
        raise ValueError("no such file")
    return found


def _in_found_folder(path: Path, info: ValidationInfo) -> Path:
    """The path of a file that need not be there yet, in a folder that is."""
    found = _beside_configuration(path, info)
    exists = "\0" not in str(found) and found.parent.is_dir() and not found.is_dir()
    if not exists:
        raise ValueError("no such folder")
    return found


Words: TypeAlias = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Url: TypeAlias = Annotated[str, AfterValidator(_checked_url), Field(json_schema_extra={"format": "uri"})]
Secret: TypeAlias = Annotated[SecretStr, AfterValidator(_checked_secret)]
ExistingFile: TypeAlias = Annotated[Path, AfterValidator(_found_file)]
Origin: TypeAlias = Annotated[str, AfterValidator(_checked_origin), Field(json_schema_extra={"format": "uri"})]
NewFile: TypeAlias = Annotated[Path, AfterValidator(_in_found_folder)]
"""A file of ours, which is made where it is not there."""
