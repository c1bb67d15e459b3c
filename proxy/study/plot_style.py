"""The colours and rules of a study's pictures, in light and in dark; one palette for the page and for the files."""

from __future__ import annotations

from typing import Final

COLOURS_LIGHT: Final = (
    "--page: #ffffff; --ink: #1c2430; --soft: #5b6675; --line: #dfe4ea; "
    "--arm0: #0b6e4f; --arm1: #c2571a; --arm2: #3f5fc4; --arm3: #93439f; --arm4: #8a6d00; --arm5: #4a7d8c;"
)
COLOURS_DARK: Final = (
    "--page: #12161c; --ink: #e4e9f0; --soft: #98a4b3; --line: #2c343f; "
    "--arm0: #4cc29a; --arm1: #f0935a; --arm2: #8da6f5; --arm3: #d58ce0; --arm4: #d9b93c; --arm5: #86bccb;"
)
"""Six hues that people with the common colour blindnesses tell apart by lightness, each with enough contrast to its page."""

ARMS: Final = 6

PLOT_RULES: Final = """
.plot text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.plot .soft { fill: var(--soft); font-size: 11px; }
.plot .name { font-weight: 600; }
.plot .grid { stroke: var(--line); stroke-width: 1; fill: none; }
.plot .equal { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 4 4; fill: none; }
.plot .reference { stroke: var(--soft); stroke-width: 1.5; fill: none; }
.plot .dot { fill-opacity: .55; }
""" + "".join(
    f".plot .f{n} {{ fill: var(--arm{n}); }} .plot .s{n} {{ stroke: var(--arm{n}); stroke-width: 2; fill: none; }}\n"
    for n in range(ARMS)
)

FILE_RULES: Final = (
    f"svg {{ {COLOURS_LIGHT} background: var(--page); }}\n"
    f"@media (prefers-color-scheme: dark) {{ svg {{ {COLOURS_DARK} }} }}\n{PLOT_RULES}"
)
"""What a picture needs that stands alone in a file."""


def standalone(svg: str) -> str:
    """The same picture with its style inside."""
    head, mark, rest = svg.partition(">")
    return f"{head}{mark}<style>{FILE_RULES}</style>{rest}\n"
