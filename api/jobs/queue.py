"""The jobs of the service, as the routes see them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

from flask import current_app

from api.batches.options import BatchLimits, BatchOptions
from api.batches.sources import FormFiles
from api.errors import NotFoundProblem, UnfinishedProblem
from api.jobs.folders import JobFolders
from api.jobs.job import Job
from api.jobs.runner import Runner
from api.jobs.store import Store
from api.service import Service

EXTENSION = "cifake-jobs"  # the key in Flask's `app.extensions`


class JobQueue:
    """Jobs in `OUTPUT_DIR/jobs`, and this process's runner. All methods raise JobsUnavailableProblem."""

    def __init__(
        self, service: Service, context: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        self.settings = settings = service.settings
        output_dir = Path(settings.output_dir)
        self.folders = JobFolders(output_dir / "jobs")
        self.store = Store(self.folders.root / "jobs.sqlite3")
        limits = BatchLimits.from_settings(settings, settings.max_job_files)
        keep_seconds = settings.job_days * 86400
        self.runner = Runner(self.store, self.folders, service, limits, output_dir, keep_seconds, context)
        service.on_stop(self.runner.stop)

    def check_room(self, size: int) -> None:
        """Raises ManyJobsProblem or StorageProblem if there is no room for a job of `size` bytes."""
        self.store.check_room(size, self.settings.max_jobs, self.settings.max_jobs_bytes)

    def submit(self, options: BatchOptions, upload: IO[bytes] | FormFiles, key: str | None) -> Job:
        """Add a job, or return the one with this Idempotency-Key; it is on the disk after this.

        Raises the Problems of Store.add and JobFolder.store_upload.
        """
        job_id = self.folders.new_id()
        folder = self.folders[job_id]
        size = folder.store_upload(upload)
        try:
            job = self.store.add(
                job_id, options, size, key, self.settings.max_jobs, self.settings.max_jobs_bytes
            )
        except BaseException:
            folder.remove()
            raise
        if job.id != job_id:
            folder.remove()
        self.runner.start()
        return job

    def get(self, job_id: str) -> Job:
        """Raises NotFoundProblem."""
        job = self.store.get(job_id)
        if job is None:
            raise NotFoundProblem("there is no such job; jobs are removed some days after their end")
        return job

    def result(self, job_id: str, name: str) -> bytes:
        """A part of a job's result, see JobFolder.read. Raises NotFoundProblem or UnfinishedProblem."""
        job = self.get(job_id)
        if job.state != "done":
            remedy = f"; ask /batch/{job.id} how far it is" if job.active else " and has no result"
            raise UnfinishedProblem(f"the job is {job.state}{remedy}", state=job.state)
        try:
            return self.folders[job.id].read(name)
        except FileNotFoundError as error:
            raise NotFoundProblem("the job's files are gone from the server's output folder") from error

    def cancel(self, job_id: str) -> Job | None:
        """Cancel a job, or remove it if it has ended. Returns the cancelled job. Raises NotFoundProblem."""
        folder = self.folders[self.get(job_id).id]
        if self.store.cancel(job_id):
            folder.remove()
            return self.get(job_id)
        self.store.remove(job_id)
        folder.remove()
        return None


def current_jobs() -> JobQueue:
    """Those of the current application."""
    jobs = current_app.extensions[EXTENSION]
    assert isinstance(jobs, JobQueue)
    return jobs
