"""Work by window: what clients saw, counted as the engine did it."""

import pytest
from calibration_world import TEMPLATE_TOKENS, VirtualServer

from jevons.proxy.calibration.stages import Played, Stage, plan_stages
from jevons.proxy.calibration.streams import Stream
from jevons.proxy.calibration.windows import Rates, count_work, cut_windows, steady
from jevons.proxy.errors import JevonsError
from jevons.proxy.simulation.physics import LLAMA_3_1_8B

RATES = Rates(tokens_per_chunk=1.0, tokens_per_word=1.0, read_seconds_per_token=0.0)


def total(bins, name):
    """A quantity over all bins."""
    return sum(getattr(work, name) for work in bins.values())


def test_one_stream_alone():
    """Each chunk is a step; the first token is no decoding; contexts begin with the prompt; the prompt is counted."""
    stream = Stream(10, 0.0, [1.0, 1.1, 1.2], prompt_tokens=20, completion_tokens=3)
    bins = count_work([stream], RATES)
    assert total(bins, "steps") == pytest.approx(3.0)
    assert total(bins, "tokens") == pytest.approx(2.0)
    assert total(bins, "context") == pytest.approx(21 + 22)
    assert total(bins, "prompt") == pytest.approx(20)


def test_streams_in_one_batch_share_their_steps():
    """Two that decode together make as many steps as one of them has chunks, a millisecond apart or not."""
    one = Stream(1, 0.0, [1.0, 1.1, 1.2], prompt_tokens=1, completion_tokens=3)
    other = Stream(1, 0.0, [1.001, 1.101, 1.201], prompt_tokens=1, completion_tokens=3)
    assert total(count_work([one, other], RATES), "steps") == pytest.approx(3.0)


def test_what_was_cut_off_is_counted_by_its_chunks():
    """A stream without token counts has as many tokens as chunks and words stand for elsewhere; cached ones cost nothing."""
    ended = Stream(100, 0.0, [1.0, 2.0], prompt_tokens=110, cached_tokens=60, completion_tokens=4)
    cut = Stream(100, 0.0, [1.0, 2.0, 3.0])
    rates = Rates.of([ended])
    assert (rates.tokens_per_chunk, rates.tokens_per_word) == (2.0, pytest.approx(1.1))
    assert total(count_work([ended], rates), "prompt") == pytest.approx(50)
    bins = count_work([cut], rates)
    assert (total(bins, "tokens"), total(bins, "prompt")) == (pytest.approx(5.0), pytest.approx(110))


def test_prompts_are_spread_over_the_time_they_take():
    """The prompt's work lies right before the first token, for as long as reading was seen to take at the fastest."""
    quick = Stream(1000, 10.0, [11.0, 11.1], prompt_tokens=1000, completion_tokens=2)
    queued = Stream(1000, 20.0, [25.0, 25.1], prompt_tokens=1000, completion_tokens=2)
    rates = Rates.of([quick, queued])
    assert rates.read_seconds_per_token == pytest.approx(1e-3)
    bins = count_work([queued], rates)
    assert min(bins) == pytest.approx(24.0 / 0.25)


def test_a_server_that_does_not_count():
    """Without any usage at the end of a stream there is nothing to go by, and that is said."""
    with pytest.raises(JevonsError, match="token counts"):
        Rates.of([Stream(3, 0.0, [1.0])])


def test_steady_begins_when_all_have_begun():
    """A stage counts from its last client's first token, in whole bins; one that some never got into does not count."""
    played = Played(Stage(2, 1, 5, 3.0), 0.0, 3.0, [Stream(1, 0.0, [0.2]), Stream(1, 0.0, [0.6])])
    assert steady(played) == range(3, 12)
    assert not steady(Played(Stage(2, 1, 5, 3.0), 0.0, 3.0, [Stream(1, 0.0, [0.2]), Stream(1, 0.0)]))


def test_work_agrees_with_the_engine():
    """Over a whole calibration in virtual time steps, tokens and prompts are the engine's own, within a few per cent."""
    server = VirtualServer(LLAMA_3_1_8B)
    stages = [server.play(stage) for stage in plan_stages(24.0, 8)]
    streams = [stream for played in stages for stream in played.streams]
    bins = count_work(streams, Rates.of(streams))
    assert total(bins, "steps") == pytest.approx(server.scheduler.steps, rel=0.02)
    assert total(bins, "tokens") + len(streams) == pytest.approx(server.scheduler.output_tokens, rel=0.01)
    assert total(bins, "prompt") == pytest.approx(server.scheduler.prompt_tokens, rel=0.03)
    assert Rates.of(streams).tokens_per_word == pytest.approx(1.0, abs=TEMPLATE_TOKENS / 24)


def test_bins_that_were_not_measured_make_no_window():
    """A window with a hole in its readings is left out, not filled."""
    server = VirtualServer(LLAMA_3_1_8B)
    played = server.play(Stage(2, 24, 40, 4.0))
    rates = Rates.of(played.streams)
    whole = cut_windows([played], server.joules, rates)
    assert len(whole) >= 6
    hole = steady(played)[0]
    assert len(cut_windows([played], {k: v for k, v in server.joules.items() if k != hole}, rates)) == len(whole) - 1
