"""Tests of what a chunk stands for: several steps sent together, or one step that gave several tokens."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.metering.chunking import Chunking


def told(replies, sequences=1):
    """What a server is taken to do after these streams of (tokens, chunks)."""
    chunking = Chunking()
    for tokens, chunks in replies:
        chunking.see(tokens, chunks, sequences)
    return chunking.steps_per_chunk


def test_nothing_is_known_at_first():
    """A chunk is one step until streams have told."""
    assert Chunking().steps_per_chunk == 1


@pytest.mark.parametrize("size", [2, 3, 4, 8])
@pytest.mark.parametrize("first", [0, 1], ids=["evenly", "first at once"])
def test_every_kth_token_is_k_steps(size, first):
    """Streams cut by the same number, with or without a first token of its own."""
    dice = random.Random(size)
    lengths = [dice.randint(100, 900) for _ in range(30)]
    assert told([(length, first + math.ceil((length - first) / size)) for length in lengths]) == size


@pytest.mark.parametrize("acceptance", [0.5, 0.7, 0.9])
def test_speculation_is_one_step(acceptance):
    """Guessed tokens vary from step to step: however many there are on average, a chunk stays a step."""
    dice = random.Random(1)
    replies = []
    for _ in range(60):
        tokens = chunks = 0
        while tokens < 250:
            chunks += 1
            tokens += 1
            guesses = 0
            while guesses < 3 and dice.random() < acceptance:
                guesses += 1
            tokens += guesses
        replies.append((tokens, chunks))
    assert told(replies) == 1


def test_a_token_each_is_a_step_each():
    """The usual server."""
    assert told([(length, length) for length in range(100, 400, 10)]) == 1


def test_short_streams_tell_nothing():
    """Six tokens in two chunks may be anything."""
    assert told([(6, 2)] * 100) == 1


def test_several_sequences_have_a_remainder_each():
    """Four answers of 100 tokens cut by three: 34 chunks each."""
    assert told([(400, 136)] * 10, sequences=4) == 3


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 500)), max_size=30), st.integers(1, 8))
def test_it_is_never_less_than_one(replies, sequences):
    """Whatever was counted."""
    assert told(replies, sequences) >= 1


def test_what_varies_is_uneven():
    """Once enough was seen of it, and never where replies are cut evenly."""
    dice = random.Random(2)
    uneven = Chunking()
    assert not uneven.is_uneven
    for _ in range(20):
        uneven.see(sum(dice.choice([1, 2, 3, 4]) for _ in range(100)), 100, 1)
    assert uneven.is_uneven
    even = Chunking()
    for length in range(100, 400, 10):
        even.see(length, math.ceil(length / 3), 1)
    assert not even.is_uneven
