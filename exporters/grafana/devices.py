"""The dashboard of trust: whether the devices are read, whether they agree with themselves, and whether the sums hold."""

from __future__ import annotations

from typing import Final

from .panels import SELECTOR, Board, Panel, Query, Row, rate, ratio

_READINGS: Final = Row(
    "Readings",
    (
        Panel(
            title="Meters",
            description="1 while a device can be read.",
            unit="bool_yes_no",
            kind="stat",
            height=6,
            queries=(Query(f"jevons_meter_up{{{SELECTOR}}}", "{{device}}"),),
        ),
        Panel(
            title="Servers",
            description="1 while an upstream answers.",
            unit="bool_yes_no",
            kind="stat",
            height=6,
            queries=(Query(f"jevons_upstream_up{{{SELECTOR}}}", "{{upstream}}"),),
        ),
        Panel(
            title="Power now",
            description="As the devices say it.",
            unit="watt",
            kind="stat",
            height=6,
            queries=(Query(f"jevons_device_power_watts{{{SELECTOR}}}", "{{device}}"),),
        ),
        Panel(
            title="Counter against power",
            description="The energy counter over the integral of power, last 60 s. Away from 1 by more than 0.05, one is wrong.",
            unit="none",
            from_zero=False,
            queries=(Query(f"jevons_counter_power_ratio{{{SELECTOR}}}", "{{device}}"),),
        ),
        Panel(
            title="Settle lag",
            description="How far the settled energy trails the readings: long prefills hold it up.",
            unit="s",
            queries=(Query(f"jevons_settle_lag_seconds{{{SELECTOR}}}", "{{instance}}"),),
        ),
        Panel(
            title="Device power",
            description="As the devices say it, over time.",
            unit="watt",
            queries=(Query(f"jevons_device_power_watts{{{SELECTOR}}}", "{{device}}"),),
        ),
    ),
)

_SUMS: Final = Row(
    "Sums",
    (
        Panel(
            title="Residual",
            description="The four accounts minus what the device measured. It is 0 in every scrape but for the last digit of a "
            "floating-point number: anything else is a fault of jevons.",
            unit="joule",
            width=12,
            from_zero=False,
            queries=(
                Query(
                    f"sum by (device) (jevons_energy_joules_total{{{SELECTOR}}}) - "
                    f"sum by (device) (jevons_device_energy_joules_total{{{SELECTOR}}})",
                    "{{device}}",
                ),
            ),
        ),
        Panel(
            title="Bypass and unresolved",
            description="Shares of the energy that went to traffic past jevons, or that nobody can be charged with.",
            unit="percentunit",
            width=12,
            queries=(
                Query(
                    "sum by (account) (rate(jevons_energy_joules_total{"
                    + SELECTOR
                    + ', account=~"bypass|unresolved"}[$__rate_interval])) / ignoring (account) group_left () ('
                    + rate("jevons_energy_joules_total")
                    + " > 0)",
                    "{{account}}",
                ),
            ),
        ),
        Panel(
            title="Requests against the device",
            description="Energy of finished requests over what was attributed meanwhile. It trails where requests are long.",
            unit="percentunit",
            queries=(
                Query(
                    ratio(
                        rate("jevons_request_energy_joules_sum"),
                        rate("jevons_energy_joules_total", account="attributed"),
                    ),
                    "requests",
                ),
            ),
        ),
        Panel(
            title="Energy model: a step",
            description="What an engine's step costs beside its tokens, as learned from the meter.",
            unit="joule",
            queries=(Query(f'jevons_coefficient{{{SELECTOR}, term="fixed_joules_per_step"}}', "{{upstream}}"),),
        ),
        Panel(
            title="Energy model: a token",
            description="What a token costs, by kind, as learned from the meter.",
            unit="joule",
            queries=(Query(f'jevons_coefficient{{{SELECTOR}, term!="fixed_joules_per_step"}}', "{{upstream}} {{term}}"),),
        ),
    ),
)

DEVICES: Final = Board(
    uid="jevons-devices",
    title="jevons: devices and trust",
    description="Whether the devices are read, agree with themselves, and whether the sums hold.",
    rows=(_READINGS, _SUMS),
)
