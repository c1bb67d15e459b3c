"""The figures of a soak for people, as Markdown."""

from __future__ import annotations

from ..trend import Trend
from .soak import CLIENTS, Soak
from .watch import Sample, kib_per_hour


def page(soak: Soak, command: str) -> str:
    """One page; what it shows is simulated but for the proxy's own process."""
    slope = kib_per_hour(soak.samples)
    lines = [
        "# Soak",
        "",
        f"- {soak.started_at:%Y-%m-%d %H:%M} UTC, `{command}`",
        f"- {soak.machine.cores} cores, {soak.machine.cpu}; Python {soak.machine.python}",
        (
            f"- {CLIENTS} clients for {soak.seconds:g} s, then {soak.streams} streams at once: {soak.requests:,} requests. "
            "The model servers and the GPU are **simulated**; the proxy, its memory and its answers are real."
        ),
        "",
        (
            f"**{'Sound' if soak.is_sound else 'Not sound'}**: {sum(soak.lost.values())} requests lost, "
            f"{soak.after.in_flight} in flight at the end, the accounts at most {_worst(soak):.0e} from the device."
        ),
        "",
        "| requests | ok | left | refused | lost |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind, counts in soak.answers.items():
        lost = sum(count for answer, count in counts.items() if answer not in {"ok", "left", "refused"})
        lines.append(f"| {kind} | {counts.get('ok', 0)} | {counts.get('left', 0)} | {counts.get('refused', 0)} | {lost} |")
    lines += [f"- lost: {what}, {count} times" for what, count in soak.lost.items()]
    lines += [
        "",
        f"The {soak.streams} streams took {soak.burst_seconds:.1f} s.",
        "",
        "| the proxy | memory (MiB) | descriptors | threads | tasks | in flight |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        _row("at rest, warm", soak.before),
        *(_row(f"under load, {each.at_seconds:.0f} s", each) for each in _some(soak.samples)),
        _row(f"at rest, {soak.streams} clients connected", soak.full),
        _row("at rest, all clients gone", soak.after),
        "",
        f"Memory over the second half of the load: {told(slope)}",
        "",
    ]
    return "\n".join(lines)


def told(slope: Trend | None) -> str:
    """How fast the memory grows."""
    if slope is None:
        return "too few looks for a slope."
    shown = slope.times(1 / 1024)
    return (
        f"{shown.slope:+.1f} MiB an hour ({shown.low:+.1f} to {shown.high:+.1f}), by least squares, with the 95 % interval. "
        "The first 10,000 requests fill the store of the latest records."
    )


def _worst(soak: Soak) -> float:
    return max(each.residual for each in (*soak.samples, soak.after))


def _some(samples: tuple[Sample, ...], most: int = 8) -> list[Sample]:
    """Not more than fit a table, evenly."""
    step = max(1, -(-len(samples) // most))
    return list(samples[::step])


def _row(title: str, sample: Sample) -> str:
    mib = sample.rss_kib / 1024
    return f"| {title} | {mib:.1f} | {sample.descriptors} | {sample.threads} | {sample.tasks} | {sample.in_flight} |"
