import random
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest

from api.batching import Answers, Batcher, DeadlineError, QueueFullError
from tests.scheduler import Scheduler


class Engine:
    """Doubles numbers, one batch at a time, and only when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.alone: list[bool] = []
        self.begun = threading.Semaphore(0)
        self.let = threading.Semaphore(0)
        self.busy = threading.Lock()

    def __call__(self, items: list[int], alone: bool) -> list[int]:
        assert self.busy.acquire(blocking=False), "two batches at once"
        self.batches.append(items)
        self.alone.append(alone)
        self.begun.release()
        assert self.let.acquire(timeout=10)
        self.busy.release()
        return [2 * item for item in items]


class Desk:
    """Threads that ask an engine held back in its first batch, [0]."""

    def __init__(self, **limits: int) -> None:
        self.engine = Engine()
        self.batcher: Batcher[int, int] = Batcher(self.engine, **limits)
        self.pool = ThreadPoolExecutor(40)
        self.first = self.submit([0])
        assert self.engine.begun.acquire(timeout=10)

    def submit(self, items: list[int], seconds: float = 10) -> "Future[Answers[int]]":
        waiting = self.batcher.waiting
        future = self.pool.submit(self.batcher.submit, items, seconds)
        until = time.monotonic() + 10
        while self.batcher.waiting == waiting and not future.done() and not self.engine.begun._value:
            assert time.monotonic() < until
            time.sleep(0.001)
        return future

    def let_all(self) -> None:
        self.engine.let.release(1000)


def test_alone_nobody_waits() -> None:
    batcher = Batcher(lambda items, alone: [2 * item for item in items])
    answers = batcher.submit([3])
    assert answers.values == [6]
    assert batcher.submit([4, 5]).values == [8, 10]


def test_what_comes_while_it_computes_is_computed_together() -> None:
    desk = Desk(size=4)
    rest = [desk.submit([number]) for number in range(1, 7)]
    desk.let_all()
    assert [future.result(10).values for future in [desk.first, *rest]] == [[2 * n] for n in range(7)]
    assert desk.engine.batches == [[0], [1, 2, 3, 4], [5, 6]]
    assert desk.engine.alone == [True, False, False]
    assert rest[0].result().queued > 0
    assert desk.batcher.waiting == 0


def test_singles_and_lists_take_turns() -> None:
    desk = Desk(size=2)
    desk.submit([10, 11])
    desk.submit([20, 21])
    singles = [desk.submit([number]) for number in range(1, 6)]
    desk.let_all()
    singles[-1].result(10)
    desk.pool.shutdown()
    assert desk.engine.batches == [[0], [1, 2], [10, 11], [3, 4], [20, 21], [5]]
    assert desk.engine.alone == [True, False, False, False, False, True]


def test_no_room() -> None:
    desk = Desk(max_queue=2)
    waiting = [desk.submit([1]), desk.submit([2])]
    with pytest.raises(QueueFullError):
        desk.batcher.submit([3])
    desk.let_all()
    assert [future.result(10).values for future in waiting] == [[2], [4]]
    desk.pool.shutdown()
    assert desk.batcher.submit([1, 2, 3]).values == [2, 4, 6]  # an idle engine has room for any batch


def test_what_is_late_is_never_computed() -> None:
    desk = Desk()
    late = desk.submit([1], seconds=0.02)
    with pytest.raises(DeadlineError):
        late.result(10)
    after = desk.submit([2])
    desk.let_all()
    assert after.result(10).values == [4]
    assert desk.engine.batches == [[0], [2]]


def test_time_that_is_up_when_the_batch_is_made() -> None:
    desk = Desk()
    late = desk.submit([1], seconds=10)
    after = desk.submit([2])
    next(iter(desk.batcher._queues[0])).deadline = 0
    desk.let_all()
    with pytest.raises(DeadlineError):
        late.result(10)
    assert after.result(10).values == [4]
    assert desk.engine.batches == [[0], [2]]


def test_an_error_is_told_to_all_of_its_batch_and_the_next_goes_on() -> None:
    broken = [True]

    def compute(items: list[int], alone: bool) -> list[int]:
        if broken.pop() if broken else False:
            raise RuntimeError("out of order")
        return items

    batcher = Batcher(compute)
    with pytest.raises(RuntimeError, match="out of order"):
        batcher.submit([1])
    assert batcher.submit([2]).values == [2]


def test_many_threads_each_get_their_own_answer() -> None:
    batcher = Batcher(lambda items, alone: [2 * item for item in items], size=8)

    def ask(number: int) -> list[int]:
        several = list(range(number, number + 1 + number % 3))
        return batcher.submit(several, 10).values

    with ThreadPoolExecutor(16) as pool:
        for number, values in enumerate(pool.map(ask, range(500))):
            assert values == [2 * n for n in range(number, number + 1 + number % 3)]
    assert batcher.waiting == 0


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_what_is_late_already_is_not_queued(seconds: float) -> None:
    desk = Desk()
    for _ in range(3):
        with pytest.raises(DeadlineError):
            desk.batcher.submit([1], seconds)
    assert desk.batcher.waiting == 0
    desk.let_all()
    assert desk.first.result(10).values == [0]
    assert desk.batcher.submit([2], 10).values == [4]


@pytest.mark.parametrize("count", [0, 5])
def test_more_or_fewer_questions_than_fit_are_refused(count: int) -> None:
    batcher = Batcher(lambda items, alone: items, size=4)
    with pytest.raises(ValueError, match="1 to 4 items"):
        batcher.submit([0] * count)


def test_an_engine_that_loses_answers_is_an_error() -> None:
    with pytest.raises(ValueError, match="2 items were given 1 answers"):
        Batcher(lambda items, alone: items[:1]).submit([1, 2])


def test_lists_wait_however_many() -> None:
    desk = Desk(size=4, max_queue=1)
    lists = [desk.submit([number, number + 1]) for number in (10, 20, 30)]
    single = desk.submit([1])
    with pytest.raises(QueueFullError):
        desk.batcher.submit([2])
    desk.let_all()
    assert [future.result(10).values for future in lists] == [[20, 22], [40, 42], [60, 62]]
    assert single.result(10).values == [2]


class OutOfOrderError(Exception):
    """What a broken engine raises."""


def interleave(seed: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Callers that are late, many, or give up, before an engine that is slow and breaks, in one interleaving.

    Returns what became of each.
    """
    scheduler = Scheduler(seed)
    monkeypatch.setattr("api.batching.threading", scheduler)
    monkeypatch.setattr("api.batching.time", scheduler)
    chance = random.Random(seed)
    busy = [False]

    def compute(items: list[int], alone: bool) -> list[int]:
        assert not busy[0], "two batches at once"
        assert 1 <= len(items) <= 3
        busy[0] = True
        scheduler.wait(lambda: False, chance.choice([0.0, 0.0, 1.0, 3.0]))
        busy[0] = False
        if chance.random() < 0.1:
            raise OutOfOrderError
        return [2 * item for item in items]

    batcher: Batcher[int, int] = Batcher(compute, size=3, max_queue=2)
    ends: list[str] = []

    def caller(number: int) -> None:
        for turn in range(3):
            count = chance.choice([1, 1, 1, 2, 3])
            items = [100 * number + 10 * turn + i for i in range(count)]
            seconds = chance.choice([-1.0, 0.0, 0.5, 2.0, 5.0, float("inf")])
            begun = scheduler.now
            try:
                assert batcher.submit(items, seconds).values == [2 * item for item in items]
                ends.append("answered")
            except DeadlineError:
                assert scheduler.now >= begun + max(0.0, seconds)
                ends.append("late")
            except QueueFullError:
                ends.append("full")
            except OutOfOrderError:
                ends.append("broken")

    for number in range(5):
        scheduler.spawn(lambda number=number: caller(number))

    def last() -> None:
        """Whatever became of the others, the engine still answers."""
        scheduler.wait(lambda: len(ends) == 15, 1000.0)
        with suppress(OutOfOrderError):
            assert batcher.submit([7], 50.0).values == [14]
        assert not any(batcher._queues)

    scheduler.spawn(last)
    scheduler.run()
    assert len(ends) == 15
    return ends


@pytest.mark.parametrize("block", range(8))
def test_every_interleaving_ends_with_an_answer_or_an_error(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: Counter[str] = Counter()
    for seed in range(block * 250, (block + 1) * 250):
        ends += Counter(interleave(seed, monkeypatch))
    assert min(ends[kind] for kind in ("answered", "late", "full", "broken")) > 50
