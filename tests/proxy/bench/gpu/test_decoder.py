"""The random model computes attention over its cache as a model would; needs torch, runs on a processor."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [realserver]: `make test-real` installs it")

from jevons.proxy.bench.gpu.decoder import SHAPES, Decoder  # noqa: E402 - torch may not be there

pytestmark = pytest.mark.realserver


def decoder():
    """A small one with exact arithmetic and the same weights each time."""
    torch.manual_seed(1)
    return Decoder(SHAPES["random-tiny"], slots=3, context=32, device="cpu", dtype=torch.float64)


def test_the_sizes_are_those_of_their_names():
    """Weights in billions, as the names say."""
    assert SHAPES["random-1b"].parameters == pytest.approx(1.2e9, rel=0.1)
    assert SHAPES["random-8b"].parameters == pytest.approx(8.0e9, rel=0.01)


def test_a_prompt_in_pieces_is_a_prompt():
    """Read at once or in two pieces, the same keys and values are in the cache: causal attention over what was read before."""
    whole, pieces = decoder(), decoder()
    whole.read(1, 0, 12)
    pieces.read(1, 0, 7)
    pieces.read(1, 7, 5)
    assert torch.allclose(whole._cache, pieces._cache)
    assert whole._cache[:, :, 1, :, :12].abs().sum() > 0
    assert whole._cache[:, :, [0, 2]].abs().sum() == 0


def test_sequences_in_a_batch_do_not_see_each_other():
    """Decoded together with a longer one or alone, a sequence leaves the same behind."""
    together, alone = decoder(), decoder()
    for one in (together, alone):
        one.read(0, 0, 5)
        one.read(2, 0, 9)
    together.decode([0, 2], [5, 9])
    alone.decode([0], [5])
    assert torch.allclose(together._cache[:, :, 0], alone._cache[:, :, 0])
