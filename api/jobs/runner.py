"""A worker's thread that works on jobs, one at a time."""

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path

from api.batches.checks import check_files
from api.batches.classify import Classifier, FileResult
from api.batches.options import BatchLimits
from api.batches.report import make_report
from api.errors import (
    JobsUnavailableProblem,
    Problem,
    StorageProblem,
    lacks_storage,
    problem_object,
    storage_reason,
)
from api.jobs.folders import ORPHAN_SECONDS, JobFolder, JobFolders
from api.jobs.job import Job
from api.jobs.rows import ClaimLostError
from api.jobs.store import Store
from api.service import Service
from model import predictions
from model.files import remove_partial_files

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
CLEAN_SECONDS = 60.0
CHUNK_FILES, CHUNK_SECONDS = 256, 2.0  # whose results are recorded together
PICTURE_SECONDS = 120.0  # to decode one, its waiting for other large ones included
RETRY_SECONDS = (1.0, 60.0)  # the first and the longest wait for room on the disk
BUSY_LIST_SIZE = 2  # pictures that go through the model at once while single ones are asked for


class Runner:
    """Claims jobs and works on them.

    limits: those of a job's upload. output_dir: where the predictions of teams go. keep_seconds: after it,
    jobs that have ended are removed. context: entered for each job.
    """

    def __init__(
        self,
        store: Store,
        folders: JobFolders,
        service: Service,
        limits: BatchLimits,
        output_dir: Path,
        keep_seconds: float,
        context: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._store, self._folders, self._service, self._limits = store, folders, service, limits
        self._output_dir, self._keep_seconds, self._context = output_dir, keep_seconds, context
        self._stopped, self._wake = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._start_lock = threading.Lock()
        self._retry_seconds = RETRY_SECONDS[0]

    def start(self) -> None:
        """Start the thread, or, if it runs, have it look for jobs. Not before a fork."""
        with self._start_lock:
            self._wake.set()
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._loop, name="jobs", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Have the thread give its job back after what is being predicted, and wait for that."""
        with self._start_lock:
            self._stopped.set()
            self._wake.set()
            thread = self._thread
        if thread is not None:
            thread.join(PICTURE_SECONDS)

    def _loop(self) -> None:
        next_clean = 0.0
        while not self._stopped.is_set():
            self._wake.clear()
            try:
                if time.monotonic() > next_clean:
                    next_clean = time.monotonic() + CLEAN_SECONDS
                    self.clean_up()
                worked = self.run_once()
            except JobsUnavailableProblem:  # the store has logged it
                worked = False
                self._stopped.wait(self._next_pause())
            except Exception:
                worked = False
                log.exception("jobs cannot be worked on")
                self._stopped.wait(self._next_pause())
            if not worked:
                self._wake.wait(POLL_SECONDS)

    def clean_up(self) -> None:
        """Remove what has expired, folders of no job, and what a killed process has not written whole."""
        remove_partial_files(self._output_dir, ORPHAN_SECONDS)
        if self._folders.root.exists():
            for job_id in self._store.expire(self._keep_seconds):
                self._folders[job_id].remove()
            for job_id in self._store.ended_ids():  # whose worker may have died before it did this
                self._folders[job_id].remove_upload()
            self._folders.remove_orphans(self._store.ids())

    def run_once(self) -> bool:
        """Work on one job until it ends, or is given back. Returns whether there was one."""
        for job in self._store.claimable():
            folder = self._folders[job.id]
            with folder.lock() as locked:
                if not locked and (job.state == "queued" or not self._store.lease_is_over(job)):
                    continue  # its owner lives
                claimed = self._store.claim(job)
                if claimed is not None:
                    with self._context():
                        self._run(claimed, folder)
                    return True
        return False

    def _run(self, job: Job, folder: JobFolder) -> None:
        reason: dict[str, object] | None = None
        try:
            self._work(job, folder)
            self._retry_seconds = RETRY_SECONDS[0]
            return
        except ClaimLostError:
            log.info("job %s was cancelled or claimed by another worker", job.id)
            return
        except JobsUnavailableProblem as error:
            waiting = error.detail
        except Problem as problem:
            reason = problem_object(problem.status, problem.slug, problem.detail, **problem.members)
        except OSError as error:
            cause = storage_reason(error)
            waiting = f"waiting for room on the disk: {cause}"
            if error.errno in (errno.EACCES, errno.EPERM):
                waiting = f"waiting until the server's output folder can be written to: {cause}"
            elif not lacks_storage(error):
                reason = self._unexpected(job, error)
        except Exception as error:
            reason = self._unexpected(job, error)
        if reason is not None:
            self._until_recorded(lambda: self._store.fail(job, reason))
            folder.remove_upload()
        else:
            log.warning("job %s: %s", job.id, waiting)
            pause = problem_object(StorageProblem.status, StorageProblem.slug, waiting)
            self._until_recorded(lambda: self._store.release(job, self._next_pause(), pause))

    def _unexpected(self, job: Job, error: Exception) -> dict[str, object]:
        log.error("job %s failed", job.id, exc_info=error)
        return problem_object(500, "internal-error", "the server failed; its log has this job's id")

    def _until_recorded(self, record: Callable[[], None]) -> None:
        """Try again while the store cannot be written to: the job's lock is held meanwhile."""
        while True:
            try:
                return record()
            except ClaimLostError:
                return None
            except JobsUnavailableProblem:
                if self._stopped.wait(self._next_pause()):
                    return None

    def _next_pause(self) -> float:
        """Twice the one before, in seconds, since results were recorded last."""
        pause = self._retry_seconds
        self._retry_seconds = min(2 * pause, RETRY_SECONDS[1])
        return pause

    def _work(self, job: Job, folder: JobFolder) -> None:
        """Raises ClaimLostError, Problem or OSError."""
        model = self._service.predictor.metadata
        with folder.open_upload(self._limits) as files:
            if job.total is None or job.model != model.digest:
                total = check_files(files, job.options, self._limits, float("inf"))
                job = self._store.begin(job, total, model.digest)
            classifier = Classifier(
                self._service,
                job.options,
                self._limits,
                self._store.results(job),
                job.pixels,
                background=True,
                picture_seconds=PICTURE_SECONDS,
                list_size=self._next_list_size,
            )
            for results in self._chunks(classifier.results(islice(files.iter_files(), job.done, None))):
                job = self._store.record(job, results, classifier.pixels)
                self._retry_seconds = RETRY_SECONDS[0]
                if self._stopped.is_set() and job.done < (job.total or 0):
                    self._store.release(job)
                    return
        assert job.started is not None
        report = make_report(
            self._store.results(job), job.options, model, (job.updated or job.started) - job.started
        )
        size = folder.store_report(report)
        team, body, unreadable = job.options.team, report.predictions, report.unreadable
        self._store.finish(job, size, lambda: predictions.write(self._output_dir, team, body, unreadable))
        folder.remove_upload()
        log.info("job %s is done: %d files", job.id, job.done)

    def _chunks(self, lists: Iterator[list[FileResult]]) -> Iterator[list[FileResult]]:
        """Lists joined to what is recorded at once."""
        chunk: list[FileResult] = []
        recorded_at = time.monotonic()
        for results in lists:
            chunk += results
            full = len(chunk) >= CHUNK_FILES or time.monotonic() > recorded_at + CHUNK_SECONDS
            if full or self._stopped.is_set():
                yield chunk
                chunk, recorded_at = [], time.monotonic()
        if chunk:
            yield chunk

    def _next_list_size(self) -> int:
        """Pictures of the next list: few while single pictures are asked for, which wait for that list."""
        batcher = self._service.batcher
        return BUSY_LIST_SIZE if batcher.serves_singles else batcher.max_batch_size
