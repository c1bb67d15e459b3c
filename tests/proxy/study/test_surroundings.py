"""What stands around the figures: it says what is comparable, what failed, and what was simulated, estimated or imposed."""

from study_samples import header, raw_study, reply

from jevons.proxy.study.dataset import Dataset
from jevons.proxy.study.raw import Raw
from jevons.proxy.study.surroundings import limits_section, reference_section, reproducibility_section, trouble_section


def with_reply(**changes):
    """A study of one reply."""
    raw = Raw([header()])
    raw.add(reply(**changes))
    return Dataset(raw)


def test_public_rows_stand_beside_the_arms():
    """Each arm has a neighbour of its size, and the page says what may be compared; the article is there."""
    text = str(reference_section(Dataset(raw_study()), 99))
    assert "Llama-3.1-8B-Instruct, 1 x H100" in text
    assert "2505.06371" in text
    assert "Not comparable" in text
    assert "17,800" in text
    assert "no size in the model's name" in str(reference_section(with_reply(model="o1"), 99))


def test_what_failed_is_said():
    """Failures, missing requests with their reason, flags, and how the idle power moved."""
    raw = raw_study(4)
    raw.add(reply(prompt="lost", outcome="HTTP 503: busy", joules=1.0))
    raw.add(reply(prompt="short", quality=["resolution"]))
    text = str(trouble_section(Dataset(raw)))
    assert "1 tries failed" in text
    assert "1 requests are missing from every figure: HTTP 503: busy" in text
    assert "`resolution`" in text
    assert "100 W before and 101 W after: +1.0%" in text
    assert "is not known" in str(trouble_section(with_reply()))


def test_what_was_not_measured_is_said_first():
    """Simulated, estimated and imposed stand before the method."""
    assert "**Simulated**" in limits_section(with_reply())[1].items[0]
    assert "**Estimated**" in str(limits_section(with_reply(method="estimated")))
    assert "**Imposed lengths**" in limits_section(with_reply(imposed_tokens=100))[1].items[0]
    assert "**Simulated**" not in str(limits_section(with_reply(method="measured")))


def test_a_repetition_has_what_it_needs():
    """Versions, card, prompts and their hash, fingerprint, seed, and the study as it was written."""
    text = str(reproducibility_section(with_reply()))
    for part in ("0.1.0", "NVIDIA H100", "hash p", "fingerprint", "Seed 1", '"prompts": "article"'):
        assert part in text
