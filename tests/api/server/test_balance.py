import random
from collections.abc import Iterator

import pytest

from api.server.balance import COUNTS, YIELD_SECONDS, Balance


@pytest.fixture(autouse=True)
def nobody_else() -> Iterator[None]:
    kept, COUNTS[:] = COUNTS[:], bytes(len(COUNTS))
    yield
    COUNTS[:] = kept


def test_who_is_known() -> None:
    first, second = Balance(1), Balance(2 + len(COUNTS))
    assert first.fewest() is None
    second.publish(7)
    assert first.fewest() == 7
    first.publish(3)
    assert second.fewest() == 3
    first.publish(100_000)
    second.publish(300)
    assert first.fewest() == 254  # as far as a byte counts
    second.withdraw()
    first.withdraw()
    assert first.fewest() is None


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_burst_is_spread_whoever_wakes(workers: int, seed: int) -> None:
    choose = random.Random(seed)
    all_of_them = [Balance(number) for number in range(workers)]
    counts = [0] * workers
    for balance in all_of_them:
        balance.publish(0)
    now = 0.0
    while sum(counts) < 200:
        now += choose.expovariate(50 / YIELD_SECONDS)
        # The one that wakes most easily does so ten times as often as another.
        number = choose.choices(range(workers), [10] + [1] * (workers - 1))[0]
        balance = all_of_them[number]
        if not balance.yielding(now) and balance.accepts(counts[number], now):
            counts[number] += 1
            balance.publish(counts[number])
    assert sum(counts) == 200
    assert max(counts) < 1.3 * 200 / workers


def test_one_that_is_stuck_holds_each_connection_up_for_a_moment_only() -> None:
    stuck, balance = Balance(0), Balance(1)
    stuck.publish(0)
    now = 0.0
    for count in range(50):
        balance.publish(count)
        if not balance.accepts(count, now):
            assert balance.yielding(now)
            now += YIELD_SECONDS
            assert not balance.yielding(now)
            assert balance.accepts(count, now)
    assert now < 50 * 1.01 * YIELD_SECONDS
