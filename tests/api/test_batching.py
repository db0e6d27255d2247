import random
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain

import pytest

from api.batching import BUSY_SECONDS, Batcher, BatchResult, DeadlineExceededError, QueueFullError
from tests.scheduler import Scheduler


class BlockedEngine:
    """Doubles numbers, one batch at a time; each batch waits for `permits`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.uncontended: list[bool] = []
        self.started = threading.Semaphore(0)
        self.permits = threading.Semaphore(0)
        self.busy = threading.Lock()

    def __call__(self, items: list[int], uncontended: bool) -> list[int]:
        assert self.busy.acquire(blocking=False), "two batches at once"
        self.batches.append(items)
        self.uncontended.append(uncontended)
        self.started.release()
        assert self.permits.acquire(timeout=10)
        self.busy.release()
        return [2 * item for item in items]


class Load:
    """Threads that submit to an engine which is blocked in its first batch, [0]."""

    def __init__(self, **limits: int) -> None:
        self.engine = BlockedEngine()
        self.batcher: Batcher[int, int] = Batcher(self.engine, **limits)
        self.pool = ThreadPoolExecutor(40)
        self.first = self.submit([0])
        assert self.engine.started.acquire(timeout=10)

    def submit(self, items: list[int], timeout: float = 10) -> "Future[BatchResult[int]]":
        queued = self.batcher.queued_items
        future = self.pool.submit(self.batcher.submit, items, timeout)
        deadline = time.monotonic() + 10
        while self.batcher.queued_items == queued and not future.done() and not self.engine.started._value:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return future

    def unblock(self) -> None:
        self.engine.permits.release(1000)


def test_an_idle_engine_computes_at_once() -> None:
    batcher = Batcher(lambda items, uncontended: [2 * item for item in items])
    answers = batcher.submit([3])
    assert answers.values == [6]
    assert batcher.submit([4, 5]).values == [8, 10]


def test_items_queued_during_a_computation_are_batched() -> None:
    load = Load(max_batch_size=4)
    rest = [load.submit([number]) for number in range(1, 7)]
    load.unblock()
    assert [future.result(10).values for future in [load.first, *rest]] == [[2 * n] for n in range(7)]
    assert load.engine.batches == [[0], [1, 2, 3, 4], [5, 6]]
    assert load.engine.uncontended == [True, False, False]
    assert rest[0].result().queue_seconds > 0
    assert load.batcher.queued_items == 0


def test_single_items_and_lists_alternate() -> None:
    load = Load(max_batch_size=2)
    load.submit([10, 11])
    load.submit([20, 21])
    singles = [load.submit([number]) for number in range(1, 6)]
    load.unblock()
    singles[-1].result(10)
    load.pool.shutdown()
    assert load.engine.batches == [[0], [1, 2], [10, 11], [3, 4], [20, 21], [5]]
    assert load.engine.uncontended == [True, False, False, False, False, True]


def test_full_queue() -> None:
    load = Load(max_queue_size=2)
    waiting = [load.submit([1]), load.submit([2])]
    with pytest.raises(QueueFullError):
        load.batcher.submit([3])
    load.unblock()
    assert [future.result(10).values for future in waiting] == [[2], [4]]
    load.pool.shutdown()
    assert load.batcher.submit([1, 2, 3]).values == [
        2,
        4,
        6,
    ]  # the queue limit does not apply to an idle engine


def test_expired_items_are_not_computed() -> None:
    load = Load()
    late = load.submit([1], timeout=0.02)
    with pytest.raises(DeadlineExceededError):
        late.result(10)
    after = load.submit([2])
    load.unblock()
    assert after.result(10).values == [4]
    assert load.engine.batches == [[0], [2]]


def test_items_that_expire_before_their_batch_is_filled() -> None:
    load = Load()
    late = load.submit([1], timeout=10)
    after = load.submit([2])
    next(iter(load.batcher._queues[0])).deadline = 0
    load.unblock()
    with pytest.raises(DeadlineExceededError):
        late.result(10)
    assert after.result(10).values == [4]
    assert load.engine.batches == [[0], [2]]


def test_an_error_does_not_affect_the_next_batch() -> None:
    broken = [True]

    def compute(items: list[int], uncontended: bool) -> list[int]:
        if broken.pop() if broken else False:
            raise RuntimeError("out of order")
        return items

    batcher = Batcher(compute)
    with pytest.raises(RuntimeError, match="out of order"):
        batcher.submit([1])
    assert batcher.submit([2]).values == [2]


def test_many_threads_each_get_their_own_outputs() -> None:
    batcher = Batcher(lambda items, uncontended: [2 * item for item in items], max_batch_size=8)

    def submit(number: int) -> list[int]:
        several = list(range(number, number + 1 + number % 3))
        return batcher.submit(several, 10).values

    with ThreadPoolExecutor(16) as pool:
        for number, values in enumerate(pool.map(submit, range(500))):
            assert values == [2 * n for n in range(number, number + 1 + number % 3)]
    assert batcher.queued_items == 0


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_an_expired_submission_is_not_queued(seconds: float) -> None:
    load = Load()
    for _ in range(3):
        with pytest.raises(DeadlineExceededError):
            load.batcher.submit([1], seconds)
    assert load.batcher.queued_items == 0
    load.unblock()
    assert load.first.result(10).values == [0]
    assert load.batcher.submit([2], 10).values == [4]


@pytest.mark.parametrize("count", [0, 5])
def test_too_many_or_no_items_are_rejected(count: int) -> None:
    batcher = Batcher(lambda items, uncontended: items, max_batch_size=4)
    with pytest.raises(ValueError, match="1 to 4 items"):
        batcher.submit([0] * count)


def test_a_wrong_number_of_outputs_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 outputs for 2 items"):
        Batcher(lambda items, uncontended: items[:1]).submit([1, 2])


def test_lists_are_not_limited_by_the_queue_size() -> None:
    load = Load(max_batch_size=4, max_queue_size=1)
    lists = [load.submit([number, number + 1]) for number in (10, 20, 30)]
    single = load.submit([1])
    with pytest.raises(QueueFullError):
        load.batcher.submit([2])
    load.unblock()
    assert [future.result(10).values for future in lists] == [[20, 22], [40, 42], [60, 62]]
    assert single.result(10).values == [2]


class OutOfOrderError(Exception):
    """Raised by a broken engine."""


def interleave(seed: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run concurrent callers with random deadlines against a slow, failing engine, in one interleaving.

    Returns the outcome of each call.
    """
    scheduler = Scheduler(seed)
    monkeypatch.setattr("api.batching.threading", scheduler)
    monkeypatch.setattr("api.batching.time", scheduler)
    rng = random.Random(seed)
    busy = [False]

    def compute(items: list[int], uncontended: bool) -> list[int]:
        assert not busy[0], "two batches at once"
        assert 1 <= len(items) <= 3
        busy[0] = True
        scheduler.wait(lambda: False, rng.choice([0.0, 0.0, 1.0, 3.0]))
        busy[0] = False
        if rng.random() < 0.1:
            raise OutOfOrderError
        return [2 * item for item in items]

    batcher: Batcher[int, int] = Batcher(compute, max_batch_size=3, max_queue_size=2)
    outcomes: list[str] = []

    def caller(number: int) -> None:
        for turn in range(3):
            count = rng.choice([1, 1, 1, 2, 3])
            items = [100 * number + 10 * turn + i for i in range(count)]
            seconds = rng.choice([-1.0, 0.0, 0.5, 2.0, 5.0, float("inf")])
            started_at = scheduler.now
            try:
                assert batcher.submit(items, seconds).values == [2 * item for item in items]
                outcomes.append("answered")
            except DeadlineExceededError:
                assert scheduler.now >= started_at + max(0.0, seconds)
                outcomes.append("late")
            except QueueFullError:
                outcomes.append("full")
            except OutOfOrderError:
                outcomes.append("broken")

    for number in range(5):
        scheduler.spawn(lambda number=number: caller(number))

    def final_check() -> None:
        """After all calls, the engine still answers and the queues are empty."""
        scheduler.wait(lambda: len(outcomes) == 15, 1000.0)
        with suppress(OutOfOrderError):
            assert batcher.submit([7], 50.0).values == [14]
        assert not any(batcher._queues)

    scheduler.spawn(final_check)
    scheduler.run()
    assert len(outcomes) == 15
    return outcomes


@pytest.mark.parametrize("block", range(8))
def test_every_interleaving_ends_with_an_answer_or_an_error(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(block * 250, (block + 1) * 250):
        outcomes += Counter(interleave(seed, monkeypatch))
    assert min(outcomes[kind] for kind in ("answered", "late", "full", "broken")) > 50


def test_background_items_wait_for_all_others() -> None:
    load = Load(max_batch_size=4)
    late = load.pool.submit(load.batcher.submit, [70, 71], 10, True)
    while load.batcher.queued_items < 2:
        time.sleep(0.001)
    rest = [load.submit(items) for items in ([1], [20, 21], [2], [30, 31, 32])]
    load.unblock()
    assert late.result(10).values == [140, 142]
    assert [future.result(10).values for future in rest] == [[2], [40, 42], [4], [60, 62, 64]]
    assert load.engine.batches[-1] == [70, 71]
    assert sorted(chain.from_iterable(load.engine.batches)) == [0, 1, 2, 20, 21, 30, 31, 32, 70, 71]


def test_background_items_do_not_fill_the_queue() -> None:
    load = Load(max_queue_size=1)
    late = load.pool.submit(load.batcher.submit, [7], 10, True)
    while load.batcher.queued_items < 1:
        time.sleep(0.001)
    single = load.submit([1])
    load.unblock()
    assert (late.result(10).values, single.result(10).values) == ([14], [2])
    assert load.engine.batches == [[0], [1], [7]]


def test_background_items_leave_cores_to_others_while_single_items_come() -> None:
    uncontended: list[bool] = []
    batcher = Batcher(lambda items, alone: uncontended.append(alone) or items)
    batcher.submit([1, 2])
    batcher.submit([1], background=True)
    assert not batcher.serves_singles
    batcher.submit([1])
    assert batcher.serves_singles
    batcher.submit([1], background=True)
    assert uncontended == [True, True, True, False]
    batcher._last_single_at -= BUSY_SECONDS
    assert not batcher.serves_singles
    batcher.submit([1], background=True)
    assert uncontended[-1]
