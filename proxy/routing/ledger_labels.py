"""Labels from a ledger: requests that the holdout asked of both tiers, where both answers got a score from `/v1/feedback`.

The ledger must keep prompts (`ledger.prompts: true`), which it does not unless it is told to.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from ..errors import ConfigError, JevonsError
from ..exchange import Tier
from .tuning import Label

_QUERY: Final = """
SELECT first.prompt, first.tier, one.score, other.score
FROM requests AS second
JOIN requests AS first ON first.request_id = second.holdout_of
JOIN feedback AS one ON one.request_id = first.request_id
JOIN feedback AS other ON other.request_id = second.request_id
WHERE first.prompt IS NOT NULL AND first.tier IS NOT NULL
ORDER BY first.started_at, first.request_id
"""


def read_ledger(path: Path) -> list[Label]:
    """The labels of a SQLite ledger. Raises ConfigError where it cannot be read, JevonsError where it holds none."""
    if not path.is_file():
        raise ConfigError([f"{path}: no such ledger"])
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(_QUERY).fetchall()
    except sqlite3.Error as error:
        raise ConfigError([f"{path}: {error}"]) from None
    if not rows:
        raise JevonsError(
            f"{path}: no request with its prompt was asked of both tiers and scored on both. "
            "That takes ledger.prompts, a holdout, and a score by POST /v1/feedback for each answer"
        )
    labels = []
    for prompt, tier, score, other in rows:
        direct, reasoning = (score, other) if tier == Tier.DIRECT else (other, score)
        labels.append(Label(str(prompt), float(direct), float(reasoning)))
    return labels
