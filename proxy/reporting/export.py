"""The ledger's tables as JSONL or Parquet, row by row and a few thousand at a time, however many there are."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, get_args, get_type_hints

import msgspec

from jevons.exporters.ledger import rows
from jevons.exporters.ledger.statements import query
from jevons.exporters.ledger.store import Store

from ..errors import JevonsError
from .period import Period

TABLES: Final[Mapping[str, type]] = {
    "requests": rows.RequestRow,
    "attempts": rows.AttemptRow,
    "accounts": rows.AccountRow,
    "feedback": rows.FeedbackRow,
    "runs": rows.RunRow,
}
FORMATS: Final = ("jsonl", "parquet")
_LISTS: Final = ("reasons", "quality")
_ROWS_AT_A_TIME: Final = 5000
_ARROW_NAMES: Final = {str: "string", int: "int64", float: "float64", bool: "bool"}


def export_table(store: Store, table: str, period: Period, file_format: str, out: Path | None) -> int:
    """Write a table's rows of a time to a file, or JSONL to standard output; returns how many. Raises JevonsError."""
    found = _typed(table, store.read(query(f"export_{table}"), (period.since, period.until)))
    if file_format == "parquet":
        if out is None:
            raise JevonsError("Parquet needs a file: give --out FILE")
        return _write_parquet(table, found, out)
    with _binary(out) as stream:
        return _write_jsonl(found, stream)


def _typed(table: str, found: Iterable[Mapping[str, object]]) -> Iterator[dict[str, object]]:
    """What SQLite keeps as 0 and 1 is true or false again, and lists are lists."""
    flags = [name for name, hint in get_type_hints(TABLES[table]).items() if hint is bool]
    for row in found:
        whole = dict(row)
        whole.update({name: bool(whole[name]) for name in flags})
        whole.update({name: msgspec.json.decode(str(whole[name])) for name in _LISTS if name in whole})
        yield whole


def _write_jsonl(found: Iterable[dict[str, object]], stream: BinaryIO) -> int:
    encoder, count = msgspec.json.Encoder(), 0
    for row in found:
        stream.write(encoder.encode(row) + b"\n")
        count += 1
    return count


def _write_parquet(table: str, found: Iterator[dict[str, object]], out: Path) -> int:
    if find_spec("pyarrow") is None:
        raise JevonsError("Parquet takes pyarrow: pip install 'jevons[parquet]'")
    import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
    from pyarrow import parquet  # noqa: PLC0415 - as above

    def arrow_type(name: str, hint: object) -> pa.DataType:
        if name in _LISTS:
            return pa.list_(pa.string())
        kind = next(kind for kind in (*get_args(hint), hint) if kind in _ARROW_NAMES)
        return pa.type_for_alias(_ARROW_NAMES[kind])

    schema = pa.schema([(name, arrow_type(name, hint)) for name, hint in get_type_hints(TABLES[table]).items()])
    count = 0
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        while batch := list(islice(found, _ROWS_AT_A_TIME)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


@contextmanager
def _binary(out: Path | None) -> Iterator[BinaryIO]:
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with out.open("wb") as stream:
        yield stream
