import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from api.batches.classify import FileResult
from api.batches.options import BatchOptions
from api.errors import JobsUnavailableProblem, KeyReusedProblem, ManyJobsProblem, StorageProblem
from api.jobs.job import Job
from api.jobs.rows import ClaimLostError
from api.jobs.store import Store

OPTIONS = BatchOptions("x", "FAKE", True)
FILES = 6
LEASE, ATTEMPTS = 100.0, 3


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return Store(tmp_path / "jobs.sqlite3", clock, LEASE, ATTEMPTS)


def add(store: Store, job_id: str = "a", key: str | None = None, size: int = 10) -> Job:
    return store.add(job_id, OPTIONS, size, key, max_active=5, max_bytes=100)


def claim(store: Store) -> Job:
    [job] = store.claimable()
    claimed = store.claim(job)
    assert claimed is not None
    return claimed


def results(start: int, count: int) -> list[FileResult]:
    return [FileResult(f"{start + i}.png", (start + i) / 8) for i in range(count)]


class StoreMachine(RuleBasedStateMachine):
    """Several owners, of whom some die or lose their leases, against a record of what must be kept."""

    claims: Bundle = Bundle("claims")  # also those that are lost, or whose owner is dead

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.store = Store(Path(self.folder.name) / "jobs.sqlite3", self.clock, LEASE, ATTEMPTS)
        self.count = 0
        self.newest: dict[str, Job] = {}  # the claim that counts of each job that is owned
        self.recorded: dict[str, list[FileResult]] = {}  # of each job that is active
        self.ended: dict[str, str] = {}
        self.without_progress: dict[str, int] = {}

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule()
    def add(self) -> None:
        if len(self.recorded) < 2:
            self.count += 1
            job = add(self.store, str(self.count), size=0)
            self.recorded[job.id], self.without_progress[job.id] = [], 0

    @rule(seconds=st.sampled_from([1.0, LEASE + 1]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(target=claims, data=st.data())
    def claim(self, data: st.DataObject) -> object:
        """Also of a job that runs, as if its owner was found to be gone, which it may not be."""
        jobs = self.store.claimable()
        if not jobs:
            return multiple()
        job = data.draw(st.sampled_from(jobs))
        claimed = self.store.claim(job)
        if claimed is None:
            assert self.without_progress[job.id] == ATTEMPTS
            self._end(job.id, "failed")
            return multiple()
        self.without_progress[job.id] += 1
        self.newest[job.id] = claimed
        assert claimed.done == len(self.recorded[job.id])
        assert not self.store.claim(job), "two claims of the same state"
        return claimed

    @rule(target=claims, job=consumes(claims), count=st.integers(1, 3))
    def record(self, job: Job, count: int) -> Job:
        some = results(job.done, count)
        if self._owns(job):
            job = self.store.record(job, some, 0)
            self.newest[job.id] = job
            self.recorded[job.id] += some
            self.without_progress[job.id] = 0
        else:
            with pytest.raises(ClaimLostError):
                self.store.record(job, some, 0)
        return job

    @rule(job=claims)
    def begin_anew(self, job: Job) -> None:
        if self._owns(job):
            self.newest[job.id] = self.store.begin(job, FILES, "other")
            self.recorded[job.id] = []
            # The claim in the bundle has an older `done`: it is used no more.
            self._disown(job)
        else:
            with pytest.raises(ClaimLostError):
                self.store.begin(job, FILES, "other")

    @rule(job=claims, how=st.sampled_from(["done", "failed", "queued"]))
    def leave(self, job: Job, how: str) -> None:
        published = []

        def end() -> None:
            if how == "done":
                self.store.finish(job, 0, lambda: published.append(job))
            elif how == "failed":
                self.store.fail(job, {"detail": "x"})
            else:
                self.store.release(job, 5.0)

        if not self._owns(job):
            with pytest.raises(ClaimLostError):
                end()
            assert not published
            return
        end()
        if how == "queued":
            self._disown(job)
            self.without_progress[job.id] = 0
        else:
            self._end(job.id, how)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.recorded:
            job_id = data.draw(st.sampled_from(sorted(self.recorded)))
            assert self.store.cancel(job_id)
            self._end(job_id, "cancelled")
            assert not self.store.cancel(job_id)

    @rule()
    def expire(self) -> None:
        for job_id in self.store.expire(10 * LEASE):
            del self.ended[job_id]

    def _owns(self, job: Job) -> bool:
        newest = self.newest.get(job.id)
        return newest is not None and newest.claims == job.claims

    def _disown(self, job: Job) -> None:
        """As if the owner had died: the job may be claimed by others."""
        del self.newest[job.id]
        if self.store.get(job.id).state == "running":  # type: ignore[union-attr]
            self.clock.now += LEASE + 1
            [row] = [one for one in self.store.claimable() if one.id == job.id]
            claimed = self.store.claim(row)
            if claimed is None:
                self._end(job.id, "failed")
            else:
                self.store.release(claimed)
                self.without_progress[job.id] = 0

    def _end(self, job_id: str, state: str) -> None:
        del self.recorded[job_id], self.without_progress[job_id]
        self.newest.pop(job_id, None)
        self.ended[job_id] = state

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        jobs = {job.id: job for job in self.store.newest(100)}
        assert {job_id: job.state for job_id, job in jobs.items() if not job.active} == self.ended
        assert {job_id for job_id, job in jobs.items() if job.active} == set(self.recorded)
        for job_id, recorded in self.recorded.items():
            assert self.store.results(jobs[job_id]) == recorded
            assert jobs[job_id].done == len(recorded)
            assert jobs[job_id].attempts == self.without_progress[job_id]
            assert (jobs[job_id].state == "running") == (job_id in self.newest)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=30, stateful_step_count=25, derandomize=True, deadline=None)


def test_nothing_is_created_before_the_first_job(store: Store, tmp_path: Path) -> None:
    assert store.get("a") is None
    assert store.newest(10) == store.claimable() == []
    assert store.ids() == set()
    store.check_room(10, 5, 100)
    assert not list(tmp_path.iterdir())


def test_the_state_of_a_job(store: Store, clock: Clock) -> None:
    job = add(store)
    assert (job.state, job.options, job.total, job.seconds_left) == ("queued", OPTIONS, None, None)
    job = store.begin(claim(store), FILES, "model")
    assert (job.state, job.started, job.total, job.model) == ("running", 1000.0, FILES, "model")
    clock.now += 4
    job = store.record(job, [*results(0, 1), FileResult("bad", error="no picture")], 1024)
    assert (job.done, job.unreadable, job.pixels, job.seconds_left) == (2, 1, 1024, 8.0)
    store.finish(job, 7, lambda: None)
    done = store.get("a")
    assert done is not None
    assert (done.state, done.finished, done.seconds_left) == ("done", 1004.0, None)
    assert store.results(done) == []


def test_a_job_that_begins_anew_has_no_results(store: Store) -> None:
    add(store)
    job = store.begin(claim(store), FILES, "model")
    job = store.record(job, [*results(0, 2), FileResult("bad", error="no picture")], 1024)
    job = store.begin(job, FILES + 1, "other")
    assert (job.total, job.model, job.done, job.unreadable, job.pixels) == (FILES + 1, "other", 0, 0, 0)
    assert store.results(job) == []
    job = store.record(job, results(7, 1), 5)
    assert store.results(job) == results(7, 1)


def test_results_of_a_job_that_is_gone_are_refused(store: Store, tmp_path: Path) -> None:
    """The file was removed and a new one is there: it is not damaged, and the job is nobody's."""
    add(store)
    job = claim(store)
    for path in tmp_path.glob("jobs.sqlite3*"):
        path.unlink()
    for call in (lambda: store.record(job, results(0, 1), 0), lambda: store.begin(job, FILES, "model")):
        with pytest.raises(ClaimLostError):
            call()


def test_what_cannot_be_published_is_not_done(store: Store) -> None:
    add(store)
    job = store.record(claim(store), results(0, 2), 0)

    def full() -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        store.finish(job, 7, full)
    assert store.get("a") == job
    assert store.results(job) == results(0, 2)


def test_a_key_gives_the_same_job(store: Store) -> None:
    first = add(store, "a", "key")
    assert add(store, "b", "key") == first
    assert add(store, "c", None) != add(store, "d", None)
    for options in (BatchOptions("y", "FAKE", True), BatchOptions("x"), BatchOptions("x", "FAKE")):
        with pytest.raises(KeyReusedProblem):
            store.add("e", options, 1, "key", 5, 100)


def test_room_for_jobs(store: Store) -> None:
    add(store, "a", size=60)
    with pytest.raises(StorageProblem, match="take 60 of 100 bytes"):
        add(store, "b", size=41)
    with pytest.raises(StorageProblem):
        store.check_room(41, 5, 100)
    with pytest.raises(ManyJobsProblem):
        store.check_room(1, 1, 100)
    store.finish(claim(store), 7, lambda: None)
    add(store, "b", size=93)
    with pytest.raises(ManyJobsProblem):
        store.add("c", OPTIONS, 0, None, max_active=1, max_bytes=100)


def test_a_job_whose_owners_die_is_given_up(store: Store) -> None:
    add(store)
    for _ in range(ATTEMPTS - 1):
        claim(store)
    assert store.record(claim(store), results(0, 1), 0).attempts == 0  # it got on: they count anew
    for _ in range(ATTEMPTS):
        claim(store)
    [job] = store.claimable()
    assert store.claim(job) is None
    failed = store.get("a")
    assert failed is not None
    assert failed.state == "failed"
    assert "died 3 times" in failed.reason["detail"]


def test_released_jobs_wait(store: Store, clock: Clock) -> None:
    add(store)
    for _ in range(2 * ATTEMPTS):  # a job that is given back is not given up
        store.release(claim(store), 5.0, {"detail": "no room"})
        assert store.claimable() == []
        waiting = store.get("a")
        assert waiting is not None
        assert waiting.reason == {"detail": "no room"}
        clock.now += 5
    assert store.record(claim(store), results(0, 1), 0).reason is None


def test_pages(store: Store) -> None:
    for name in "abcde":
        add(store, name, size=1)
    jobs = store.newest(2)
    assert [job.id for job in jobs] == ["e", "d"]
    assert [job.id for job in store.newest(9, before=jobs[-1].number)] == ["c", "b", "a"]


def test_expired_jobs_are_forgotten(store: Store, clock: Clock) -> None:
    add(store, "a")
    store.finish(claim(store), 7, lambda: None)
    add(store, "b")
    clock.now += 11
    assert store.expire(11) == []
    assert store.expire(10) == ["a"]
    assert store.ids() == {"b"}


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"no database at all" * 100, "damaged: file is not a database"), (b"SQLite format 3\0" * 99, "record")],
)
def test_a_damaged_file_is_reported_and_kept(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    path.write_bytes(content)
    for call in (Store(path).claimable, lambda: add(Store(path)), lambda: Store(path).get("a")):
        with pytest.raises(JobsUnavailableProblem, match=words):
            call()
    assert path.read_bytes() == content


def test_tables_of_another_version_are_refused(store: Store, tmp_path: Path) -> None:
    add(store)
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as db:
        db.execute("PRAGMA user_version = 2")
    with pytest.raises(JobsUnavailableProblem, match="version 2"):
        store.get("a")


def test_a_locked_file_is_reported(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.jobs.database.BUSY_SECONDS", 0.01)
    add(store)
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(JobsUnavailableProblem, match="locked"):
            store.cancel("a")
        assert store.get("a") is not None  # readers do not wait for a writer
    assert store.cancel("a")


def test_a_full_disk_is_reported(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    add(store)
    monkeypatch.setattr("api.jobs.database.sqlite3.connect", fails)
    with pytest.raises(JobsUnavailableProblem, match=r"cannot be used: disk I/O error; retry later"):
        store.get("a")
    monkeypatch.setattr("api.jobs.database.shutil.disk_usage", lambda _: SimpleNamespace(free=4096))
    with pytest.raises(JobsUnavailableProblem, match=r"cannot be used: the disk is full; retry later"):
        store.get("a")


def test_reasons_are_json(store: Store) -> None:
    add(store)
    store.fail(claim(store), {"detail": "é\ud800"})
    job = store.get("a")
    assert job is not None
    assert json.loads(json.dumps(job.reason)) == {"detail": "é\ud800"}
