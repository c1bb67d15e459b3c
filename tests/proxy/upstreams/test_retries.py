"""The budget for second tries."""

from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.upstreams.retries import RetryBudget


def test_a_quiet_day_may_retry_and_a_bad_one_may_not():
    """What is saved is there at once; then it takes ten requests to earn a retry."""
    budget = RetryBudget(share=0.1, saved=2.0)
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    for _ in range(11):
        budget.earn()
    assert [budget.spend() for _ in range(2)] == [True, False]


def test_a_share_of_nothing_is_no_retry():
    """Not even the first."""
    budget = RetryBudget(share=0.0)
    budget.earn()
    assert not budget.spend()


@given(st.lists(st.booleans(), max_size=300), st.floats(0.01, 1.0))
def test_retries_never_exceed_the_share_and_what_was_saved(steps, share):
    """Whatever the order of requests and failures."""
    budget = RetryBudget(share=share, saved=5.0)
    requests = retries = 0
    for is_request in steps:
        if is_request:
            requests += 1
            budget.earn()
        elif budget.spend():
            retries += 1
        assert retries <= 5.0 + share * requests + 1e-9
        assert 0.0 <= budget.left <= 5.0
