"""The section `ledger`: where a row of every request is kept, for how long, and how quickly it is written."""

from __future__ import annotations

from typing import Annotated, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, SecretStr, model_validator

from .config_values import NewFile
from .sections import Section

PROMPTS_WARNING = "ledger.prompts is on: the text of every prompt is kept, readable by whoever can read the ledger"


def _checked_url(secret: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(secret.get_secret_value())
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
        raise ValueError("must be such as postgresql://jevons:${PG_PASSWORD}@127.0.0.1:5432/jevons")
    return secret


DatabaseUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_checked_url)]


class LedgerSection(Section):
    """One row per request in a database: SQLite in a file, or PostgreSQL at a URL."""

    path: NewFile | None = Field(None, description="A SQLite file, made where it is not there")
    url: DatabaseUrl | None = Field(None, description="postgresql://user:${PASSWORD}@host/database; takes jevons[postgres]")
    retention_days: PositiveFloat | None = Field(None, description="Rows older than that are deleted; omitted: none are")
    flush_seconds: float = Field(2.0, gt=0.0, le=60.0, description="A row is written at most this late")
    batch_size: int = Field(500, ge=1, le=10_000, description="Rows that are written together")
    queue_size: PositiveInt = Field(10_000, description="Rows that may wait; what comes on top is dropped and counted")
    prompts: bool = Field(default=False, description="Keep the text of prompts: whoever reads the ledger reads them")

    @model_validator(mode="after")
    def _one_database(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("give path or url, one of them")
        return self
