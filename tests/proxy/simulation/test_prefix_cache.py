"""The prefix cache: what two prompts share at their beginning, in whole blocks."""

from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.simulation.prefix_cache import BLOCK_TOKENS, PrefixCache, whole_blocks


def tokens_of(text):
    return list(text)


def test_a_new_prompt_is_not_cached_and_a_repeated_one_is():
    """All whole blocks of a repeated prompt are cached, but never its last token."""
    cache = PrefixCache()
    prompt = tokens_of("a" * 40)
    assert cache.match(prompt) == 0
    assert cache.match(prompt) == 32
    assert cache.match(tokens_of("a" * 32)) == 16


@given(shared=st.integers(0, 100), first=st.integers(0, 60), second=st.integers(1, 60))
def test_what_is_shared_counts_in_whole_blocks(shared, first, second):
    """Two prompts that part after some tokens share that many, rounded down to a block."""
    cache = PrefixCache()
    cache.match(tokens_of("s" * shared + "x" * first))
    assert cache.match(tokens_of("s" * shared + "y" * second)) == shared // BLOCK_TOKENS * BLOCK_TOKENS


def test_the_same_block_behind_another_beginning_is_not_cached():
    """A block counts only behind the blocks it was read behind."""
    cache = PrefixCache()
    cache.match(tokens_of("a" * 16 + "z" * 16))
    assert cache.match(tokens_of("b" * 16 + "z" * 16 + "!")) == 0


def test_the_cache_is_bounded():
    """Prompts beyond the capacity push the oldest out."""
    cache = PrefixCache(capacity=2)
    cache.match(tokens_of("a" * 33))
    cache.match(tokens_of("b" * 33))
    assert cache.match(tokens_of("a" * 33)) == 0


@given(st.integers(1, 10_000))
def test_whole_blocks_leave_something_to_read(prompt_tokens):
    """Of a prompt just read, every whole block is cached, but at least one token is read again."""
    assert prompt_tokens - BLOCK_TOKENS <= whole_blocks(prompt_tokens) < prompt_tokens
    assert whole_blocks(prompt_tokens) % BLOCK_TOKENS == 0
