"""A report for programs: JSON and CSV. Unknown is null, or an empty field."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import Any

from .report import Report
from .sums import Sums, Tariff


def report_document(report: Report) -> dict[str, Any]:
    """All of it as JSON takes it."""
    period, total = report.period, report.total
    return {
        "since": period.since,
        "until": period.until,
        "by": list(report.by),
        "price_per_kwh": report.tariff.price_per_kwh,
        "pue": report.tariff.pue,
        "total": _sums(total, report.tariff),
        "groups": [
            {**dict(zip(report.by, key, strict=True)), **_sums(sums, report.tariff)} for key, sums in report.groups.items()
        ],
        "methods": dict(report.methods),
        "carbon": [asdict(each) for each in report.grid],
        "savings": asdict(report.savings),
        "accounts": [
            {"device": device, "account": account, "joules": joules, "cost": report.tariff.cost(joules)}
            for (device, account), joules in report.accounts.items()
        ],
        "heaviest": [dict(row) for row in report.heaviest],
        "notes": list(report.notes),
    }


def _sums(sums: Sums, tariff: Tariff) -> dict[str, Any]:
    return {
        **{name: value for name, value in asdict(sums).items() if name != "priced_tokens"},
        "watt_hours": sums.watt_hours,
        "joules_per_request": sums.joules_per_request,
        "joules_per_token": sums.joules_per_token,
        "cost": tariff.cost(sums.joules),
    }


def report_csv(report: Report) -> str:
    """The groups, a line each, with a header."""
    out = io.StringIO()
    columns = [*report.by, *_sums(Sums(), report.tariff)]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for key, sums in report.groups.items():
        writer.writerow([_cell(value) for value in (*key, *_sums(sums, report.tariff).values())])
    return out.getvalue()


def _cell(value: object) -> object:
    """A spreadsheet takes a text that begins like a formula for one: names come from model servers and from clients' keys."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
