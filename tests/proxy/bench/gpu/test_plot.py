"""The picture of a run."""

from xml.etree import ElementTree as ET

from gpu_bench_world import LAW, LENGTHS, SAME

from jevons.proxy.bench.gpu.plot import draw

SVG = "{http://www.w3.org/2000/svg}"


def parse(text):
    """The picture as a tree."""
    return ET.fromstring(text)  # noqa: S314 - our own


def test_dots_and_line():
    """A dot for each batch, request and length (twice: in company too), the law's line, and the heading that says what it is."""
    root = parse(draw([LAW, SAME, LENGTHS], "a SIMULATED board"))
    assert len(root.findall(f".//{SVG}circle")) == 10
    assert len(root.findall(f".//{SVG}line[@class='line']")) == 1
    assert len(root.findall(f".//{SVG}circle[@class='other']")) == 2
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"a SIMULATED board", "16", "1024"} <= set(texts)


def test_higher_energy_is_higher_up():
    """The first panel's dots rise with the batch."""
    root = parse(draw([LAW], "x"))
    heights = [float(dot.attrib["cy"]) for dot in root.iter(f"{SVG}circle")]
    assert heights == sorted(heights, reverse=True)


def test_checks_that_were_not_run_leave_their_panel_empty():
    """Nothing is drawn for them."""
    assert not parse(draw([], "x")).findall(f".//{SVG}circle")
