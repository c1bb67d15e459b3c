"""Colours: readable in light and in dark."""

import re

from jevons.proxy.study.plot_style import ARMS, COLOURS_DARK, COLOURS_LIGHT, standalone


def luminance(colour):
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_colour_can_be_read():
    """Ink, soft text and all arms have a contrast of 4.5 to the page, in either scheme."""
    for scheme in (COLOURS_LIGHT, COLOURS_DARK):
        colours = dict(re.findall(r"--(\w+): (#\w+);", scheme))
        page = luminance(colours["page"])
        for name in ("ink", "soft", *(f"arm{number}" for number in range(ARMS))):
            high, low = sorted((luminance(colours[name]), page), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.3, name


def test_a_picture_can_stand_alone():
    """Its style is put inside the outermost element."""
    assert re.fullmatch(r'<svg class="plot"><style>.*</style><g/></svg>\n', standalone('<svg class="plot"><g/></svg>'), re.DOTALL)
