import random
import socket
from collections.abc import Iterator

import pytest

from api.server.balance import COUNTS, YIELD_SECONDS, ConnectionBalancer
from api.server.connection_worker import ConnectionWorker


@pytest.fixture(autouse=True)
def reset_counts() -> Iterator[None]:
    saved, COUNTS[:] = COUNTS[:], bytes(len(COUNTS))
    yield
    COUNTS[:] = saved


def test_fewest_connections_of_published_counts() -> None:
    first, second = ConnectionBalancer(1), ConnectionBalancer(2 + len(COUNTS))
    assert first.fewest_connections() is None
    second.publish(7)
    assert first.fewest_connections() == 7
    first.publish(3)
    assert second.fewest_connections() == 3
    first.publish(100_000)
    second.publish(300)
    assert first.fewest_connections() == 254  # a count is one byte
    second.withdraw()
    first.withdraw()
    assert first.fewest_connections() is None


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_burst_of_connections_is_spread_evenly(workers: int, seed: int) -> None:
    rng = random.Random(seed)
    balancers = [ConnectionBalancer(number) for number in range(workers)]
    counts = [0] * workers
    for balancer in balancers:
        balancer.publish(0)
    now = 0.0
    while sum(counts) < 200:
        now += rng.expovariate(50 / YIELD_SECONDS)
        # One worker wakes ten times as often as the others.
        number = rng.choices(range(workers), [10] + [1] * (workers - 1))[0]
        balancer = balancers[number]
        if not balancer.is_yielding(now) and balancer.should_accept(counts[number], now):
            counts[number] += 1
            balancer.publish(counts[number])
    assert sum(counts) == 200
    assert max(counts) < 1.3 * 200 / workers


def test_a_stuck_worker_delays_a_connection_only_briefly() -> None:
    stuck, balancer = ConnectionBalancer(0), ConnectionBalancer(1)
    stuck.publish(0)
    now = 0.0
    for count in range(50):
        balancer.publish(count)
        if not balancer.should_accept(count, now):
            assert balancer.is_yielding(now)
            now += YIELD_SECONDS
            assert not balancer.is_yielding(now)
            assert balancer.should_accept(count, now)
    assert now < 50 * 1.01 * YIELD_SECONDS


@pytest.mark.parametrize(("loaded", "others_loaded", "accepts"), [(0, 0, 1), (0, 1, 0), (1, 0, 1), (1, 1, 1)])
def test_a_stopped_worker_takes_what_is_queued_unless_it_loads_and_others_serve(
    loaded: bool, others_loaded: bool, accepts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = ConnectionWorker.__new__(ConnectionWorker)
    worker.alive, worker.loaded, worker._accepting = False, loaded, False
    worker.balancer, worker.nr_conns, worker.worker_connections = ConnectionBalancer(0), 0, 9
    if others_loaded:
        ConnectionBalancer(1).publish(3)
    accepted: list[socket.socket] = []
    monkeypatch.setattr(worker, "_accept", lambda listener: accepted.append(listener))  # the only one queued
    with socket.socket() as listener:
        worker.sockets, worker.open_listeners = [listener], [listener]
        for enabled in (True, False, False):  # the main loop and a connection both may ask, in any order
            worker.set_accept_enabled(enabled)
        assert (accepted == [listener]) == accepts
        assert listener.fileno() == -1
