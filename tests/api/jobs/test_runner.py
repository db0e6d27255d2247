import errno
import io
import json
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from api.batches.options import BatchOptions
from api.batches.sources import FormFiles
from api.errors import JobsUnavailableProblem
from api.jobs import runner
from api.jobs.job import Job
from api.jobs.queue import JobQueue
from api.service import InputPicture
from tests.api.jobs.conftest import OPTIONS
from tests.conftest import MeanPredictor
from tests.pictures import encode, zipped


def grey(value: int) -> bytes:
    return encode(np.full((32, 32, 3), value, np.uint8))


NO_FOLDER = "No usable temporary directory found in ['/secret']"  # as `tempfile` says it
FILES = {f"{i}.png": grey(i) for i in range(100)} | {"notes.txt": b"text"}
EXPECTED = [{"image_id": f"{i}.png", "prediction": round(i / 255, 6)} for i in range(100)]


def submit(jobs: JobQueue, files: dict[str, bytes] = FILES, options: BatchOptions = OPTIONS) -> Job:
    return jobs.submit(options, io.BytesIO(zipped(files)), None)


def check(jobs: JobQueue, job_id: str, outputs: Path) -> None:
    assert jobs.get(job_id).state == "done"
    body = jobs.result(job_id, "predictions")
    assert json.loads(body) == EXPECTED
    assert (outputs / "x_prediction.json").read_bytes() == body
    assert (outputs / "x_unreadable.json").read_bytes() == jobs.result(job_id, "unreadable")
    assert sorted(path.name for path in jobs.folders[job_id].path.iterdir()) == [
        "out_of_domain.json",
        "predictions.json",
        "summary.json",
        "unreadable.json",
    ]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "CHUNK_FILES", 32)


def test_a_job(jobs: JobQueue, outputs: Path) -> None:
    job = submit(jobs)
    assert jobs.runner.run_once()
    check(jobs, job.id, outputs)
    ended = jobs.get(job.id)
    assert (ended.total, ended.done, ended.unreadable) == (101, 101, 1)
    assert not jobs.runner.run_once()


def test_a_form(jobs: JobQueue, outputs: Path) -> None:
    files = [(name, io.BytesIO(data)) for name, data in FILES.items()]
    job = jobs.submit(OPTIONS, FormFiles(files, 200_000), None)
    assert jobs.runner.run_once()
    check(jobs, job.id, outputs)


class Dead(BaseException):
    """Stands for the end of the process: nothing handles it."""


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("survives", range(4))
def test_another_owner_goes_on_after_the_last_recorded_result(
    survives: int, jobs: JobQueue, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(jobs)
    predicted: list[int] = []
    predict = jobs.runner._service.predict

    def counted(pictures: list[InputPicture], *arguments: object, **named: object) -> object:
        if len(predicted) == survives:
            raise Dead
        predicted.append(len(pictures))
        return predict(pictures, *arguments, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(jobs.runner._service, "predict", counted)
        with pytest.raises(Dead):
            jobs.runner.run_once()
    done = jobs.get(job.id).done
    assert done == 32 * survives
    scored: list[int] = []
    monkeypatch.setattr(
        jobs.runner._service,
        "predict",
        lambda pictures, *a, **n: scored.append(len(pictures)) or predict(pictures, *a, **n),
    )
    assert jobs.runner.run_once()
    assert sum(predicted) + sum(scored) == 100
    check(jobs, job.id, outputs)


def test_a_job_whose_owner_lives_is_left_alone(jobs: JobQueue) -> None:
    job = submit(jobs)
    [queued] = jobs.store.claimable()
    assert jobs.store.claim(queued)
    with jobs.folders[job.id].lock() as locked:
        assert locked
        assert not jobs.runner.run_once()
    assert jobs.runner.run_once()  # the lock is gone: so is the owner
    assert jobs.get(job.id).state == "done"


def test_another_checkpoint_begins_anew(
    jobs: JobQueue, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(jobs)
    [queued] = jobs.store.claimable()
    claimed = jobs.store.claim(queued)
    assert claimed is not None
    begun = jobs.store.begin(claimed, 101, "another model")
    jobs.store.release(jobs.store.record(begun, [runner.FileResult("0.png", 0.77)], 1024))
    assert jobs.runner.run_once()
    check(jobs, job.id, outputs)


@pytest.mark.usefixtures("small_chunks")
def test_a_cancelled_job_stops(jobs: JobQueue, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = submit(jobs)
    record = jobs.store.record

    def cancel_then_record(*arguments: object) -> object:
        jobs.cancel(job.id)
        return record(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs.store, "record", cancel_then_record)
    assert jobs.runner.run_once()
    assert jobs.get(job.id).state == "cancelled"
    assert not (outputs / "x_prediction.json").exists()
    assert not jobs.folders[job.id].path.exists()


@pytest.mark.parametrize(
    ("files", "status", "slug"),
    [
        ({"a.txt": b"a"}, 422, "broken-file"),
        ({}, 422, "broken-file"),
        ({"a/1.png": grey(1), "b/1.png": grey(2)}, 400, "bad-request"),
        ({"../1.png": grey(1)}, 400, "bad-request"),
        ({f"{i}.png": encode(np.zeros((500, 500), np.uint8)) for i in range(5)}, 413, "too-large"),
    ],
)
def test_what_a_batch_refuses_fails_a_job(
    files: dict[str, bytes], status: int, slug: str, jobs: JobQueue, outputs: Path
) -> None:
    job = submit(jobs, files)
    assert jobs.runner.run_once()
    failed = jobs.get(job.id)
    assert failed.state == "failed"
    assert failed.reason is not None
    assert failed.reason["status"] == status
    assert failed.reason["type"] == f"urn:cifake:problem:{slug}"
    assert [path.name for path in outputs.iterdir()] == ["jobs"]
    assert not list(jobs.folders[job.id].path.iterdir())


def test_an_unexpected_error_fails_the_job_and_is_logged(
    jobs: JobQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def predict(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(MeanPredictor, "predict", predict)
    job = submit(jobs)
    assert jobs.runner.run_once()
    assert jobs.get(job.id).reason["status"] == 500  # type: ignore[index]
    assert job.id in caplog.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "waiting for room on the disk: No space left on device"),
        (errno.EDQUOT, "waiting for room on the disk: Disk quota exceeded"),
        (errno.EROFS, "waiting for room on the disk: Read-only file system"),
        (errno.EACCES, "can be written to: Permission denied"),
        (errno.ENOENT, "waiting for room on the disk: it has no temporary folder"),
    ],
)
@pytest.mark.parametrize("place", ["api.jobs.folders.atomic_write", "model.predictions.atomic_write"])
def test_a_full_disk_delays_a_job(
    place: str, number: int, words: str, jobs: JobQueue, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs.mkdir()
    (outputs / "x_prediction.json").write_text("what was there before")
    job = submit(jobs)

    def full(_: Path) -> None:
        raise OSError(number, NO_FOLDER if number == errno.ENOENT else os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(place, full)
        assert jobs.runner.run_once()
    waiting = jobs.get(job.id)
    assert waiting.state == "queued"
    assert waiting.done == 101
    assert waiting.reason["detail"].endswith(words)  # type: ignore[index]
    assert (outputs / "x_prediction.json").read_text() == "what was there before"
    assert not jobs.runner.run_once()  # not yet
    jobs.store._clock = lambda: waiting.available_at
    assert jobs.runner.run_once()
    check(jobs, job.id, outputs)


@pytest.mark.usefixtures("small_chunks")
def test_a_store_that_cannot_be_written_delays_a_job(
    jobs: JobQueue, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner keeps the job until it can say that it gives it back."""
    monkeypatch.setattr(runner, "RETRY_SECONDS", (0.001, 0.001))
    jobs.runner._retry_seconds = 0.001
    job = submit(jobs)
    release, failures = jobs.store.release, [JobsUnavailableProblem("disk is full")] * 7

    def fails(*_: object) -> None:
        raise JobsUnavailableProblem("disk is full")

    def fails_at_first(*arguments: object) -> None:
        if failures:
            raise failures.pop()
        release(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(jobs.store, "record", fails)
        patch.setattr(jobs.store, "release", fails_at_first)
        assert jobs.runner.run_once()
    assert not failures
    waiting = jobs.get(job.id)
    assert (waiting.state, waiting.attempts, waiting.reason["detail"]) == ("queued", 0, "disk is full")  # type: ignore[index]
    jobs.store._clock = lambda: waiting.available_at
    assert jobs.runner.run_once()
    check(jobs, job.id, outputs)


def test_a_crash_between_upload_and_record_leaves_an_orphan_that_is_removed(
    jobs: JobQueue, outputs: Path
) -> None:
    kept = submit(jobs)
    for name, age in (("new", 0), ("old", 7200)):
        folder = jobs.folders[name]
        folder.store_upload(io.BytesIO(b"x"))
        seen = folder.path.stat().st_mtime - age
        os.utime(folder.path, (seen, seen))
    os.utime(jobs.folders[kept.id].path, (0, 0))
    partial = {}
    for folder in (outputs, jobs.folders[kept.id].path):
        for age in (0, 7200):
            handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")  # as atomic_write does
            os.close(handle)
            partial[Path(name)] = age
            os.utime(name, (time.time() - age,) * 2)
    jobs.runner.clean_up()
    assert {path: path.exists() for path in partial} == {path: age == 0 for path, age in partial.items()}
    assert {path.name for path in jobs.folders.root.iterdir() if path.is_dir()} == {kept.id, "new"}


def test_the_upload_of_a_job_whose_owner_died_at_its_end_is_removed(jobs: JobQueue, outputs: Path) -> None:
    done, waiting = submit(jobs), submit(jobs)
    assert jobs.runner.run_once()
    (jobs.folders[done.id].path / "upload").write_bytes(b"x")
    jobs.runner.clean_up()
    check(jobs, done.id, outputs)
    assert (jobs.folders[waiting.id].path / "upload").exists()


def test_an_upload_that_finds_no_room_leaves_nothing(jobs: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("api.jobs.folders.shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space"):
        submit(jobs)
    assert not list(jobs.folders.root.iterdir())
    assert jobs.store.newest(1) == []


def test_expired_jobs_are_removed(jobs: JobQueue, outputs: Path) -> None:
    job = submit(jobs)
    jobs.runner.run_once()
    ended = jobs.get(job.id).finished
    assert ended is not None
    jobs.store._clock = lambda: ended + jobs.settings.job_days * 86400 + 1
    jobs.runner.clean_up()
    assert jobs.store.get(job.id) is None
    assert not jobs.folders[job.id].path.exists()
    assert (outputs / "x_prediction.json").exists()


@pytest.mark.usefixtures("small_chunks")
def test_a_stopped_runner_gives_its_job_back(jobs: JobQueue, outputs: Path) -> None:
    predicting, stopping = threading.Event(), threading.Event()
    predict = jobs.runner._service.predict

    def slow(*arguments: object, **named: object) -> object:
        predicting.set()
        assert stopping.wait(20)
        return predict(*arguments, **named)  # type: ignore[arg-type]

    jobs.runner._service.predict = slow  # type: ignore[method-assign,assignment]
    job = submit(jobs)
    type(jobs.runner).start(jobs.runner)
    assert predicting.wait(20)
    stopper = threading.Thread(target=jobs.runner._service.stop)
    stopper.start()
    assert jobs.runner._stopped.wait(20)
    stopping.set()
    stopper.join(20)
    given_back = jobs.get(job.id)
    assert (given_back.state, given_back.done, given_back.attempts) == ("queued", 32, 0)


def test_singles_go_first(jobs: JobQueue) -> None:
    """While they are asked for, a job's pictures go through the model a few at once."""
    sizes: list[int] = []
    service = jobs.runner._service
    predict = service.predict

    def counted(pictures: list[InputPicture], *arguments: object, **named: object) -> object:
        assert named.get("background")
        sizes.append(len(pictures))
        return predict(pictures, *arguments, **named)  # type: ignore[arg-type]

    service.predict = counted  # type: ignore[method-assign,assignment]
    predict([InputPicture(np.zeros((32, 32, 3), np.uint8), 32, 32, False)])
    service.batcher._last_single_at += 1000
    submit(jobs)
    assert jobs.runner.run_once()
    assert sizes == [runner.BUSY_LIST_SIZE] * (100 // runner.BUSY_LIST_SIZE)
