"""A client of the service in one file, to be copied. It needs httpx 0.28; tqdm shows a job's progress.

    with Client("http://localhost:8000") as client:
        answer = client.predict("cat.png")
        print(answer.label, answer.confidence)
        rows = client.batch(["1.png", "2.png"], team="demo")   # or the path of one archive
        job = client.wait(client.submit("pictures.zip", team="demo"))
        rows = client.result(job)

`AsyncClient` has the same methods, to be awaited. Errors of the service are raised as ProblemError, those of
the connection as httpx.HTTPError.
"""

import asyncio
import base64
import io
import os
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import httpx

CONNECT_SECONDS = 10.0
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.2, 5.0
RETRIED = (429, 503)


class Image(Protocol):
    """A picture of Pillow."""

    def save(self, file: io.BytesIO, file_format: str, /) -> None: ...


Picture = bytes | str | os.PathLike[str] | Image
"""The bytes of a file, its path, or a picture of Pillow, which is sent as PNG."""

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""Paths of pictures, or the path of one archive of pictures."""

Row = dict[str, Any]
"""`image_id`, and `prediction`, the probability of the label that was asked for."""

Record = TypeVar("Record", "Answer", "Job")
Result = TypeVar("Result")
Steps = Generator[httpx.Request | float, httpx.Response | None, Result]
"""Requests to send and seconds to sleep, which both clients do in their own way; responses come back."""


class ProblemError(Exception):
    """An error of the service (RFC 9457). members: of its JSON, empty if a proxy answered something else."""

    def __init__(self, response: httpx.Response) -> None:
        try:
            members = response.json()
        except ValueError:
            members = {}
        self.members: dict[str, Any] = members if isinstance(members, dict) else {}
        self.status = response.status_code
        self.type = str(self.members.get("type", "about:blank"))
        self.detail = str(self.members.get("detail", response.text[:200]))
        self.request_id = str(self.members.get("request_id", ""))
        super().__init__(f"{self.status}: {self.detail}")


@dataclass(frozen=True)
class Answer:
    """What the service says of one picture; see the service's README. prediction: P(REAL)."""

    label: str
    confidence: float
    prediction: float
    scores: dict[str, float]
    in_domain: bool | None
    out_of_domain_reason: str | None
    width: int
    height: int
    resized: bool
    model: str
    request_id: str
    explanation: dict[str, str] | None = None
    input: str | None = None
    provenance: dict[str, Any] | None = None

    @property
    def heat_map(self) -> bytes | None:
        """The PNG of an explanation, if one was asked for."""
        return None if self.explanation is None else _from_data_url(self.explanation["heatmap"])

    @property
    def network_input(self) -> bytes | None:
        """A PNG of the pixels that the network received, if they were asked for."""
        return None if self.input is None else _from_data_url(self.input)


@dataclass(frozen=True)
class Job:
    """state: queued, running, done, failed or cancelled. total, done, unreadable: numbers of files."""

    id: str
    team: str
    state: str
    total: int | None
    done: int
    unreadable: int
    seconds_left: float | None
    reason: dict[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state not in ("queued", "running")


@dataclass(frozen=True)
class Retries:
    """How often, and for how many seconds in all, to wait after the statuses 429 and 503."""

    number: int = 5
    seconds: float = 60


def _from_data_url(url: str) -> bytes:
    return base64.b64decode(url.partition(",")[2])


def _record(kind: type[Record], response: httpx.Response) -> Record:
    """Members that this version does not know are left out."""
    members = response.json()
    return kind(**{field.name: members[field.name] for field in fields(kind) if field.name in members})


def _retry_seconds(response: httpx.Response) -> float:
    """`Retry-After` (RFC 9110, section 10.2.3), a number of seconds or a time; one second without it."""
    text = response.headers.get("Retry-After", "1")
    try:
        if text.isdigit():
            return float(text)
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 1.0


def _file(picture: Picture) -> bytes:
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | os.PathLike):
        return Path(picture).read_bytes()
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _bar() -> Callable[[Job], None]:
    """Shows a job's progress, if tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return lambda job: None
    bar = tqdm(unit="file")

    def show(job: Job) -> None:
        bar.total = job.total
        bar.update(job.done - bar.n)
        if job.ended:
            bar.close()

    return show


class _Steps:
    """What both clients do, as steps."""

    def __init__(self, http: httpx.Client | httpx.AsyncClient, retries: Retries) -> None:
        self._http, self._retries = http, retries

    def ask(
        self, method: str, path: str, paths: Paths | None = None, **request: Any
    ) -> Steps[httpx.Response]:
        """The response. paths: of files to send, which are opened anew for each try. Raises ProblemError."""
        waited = 0.0
        for number in range(self._retries.number + 1):
            with ExitStack() as opened:
                if paths is not None:
                    request["files"] = _form(paths, opened)
                response = yield self._http.build_request(method, path, **request)
            assert response is not None
            if response.is_success:
                return response
            seconds = _retry_seconds(response)
            waited += seconds
            last = number == self._retries.number or waited > self._retries.seconds
            if response.status_code not in RETRIED or last:
                raise ProblemError(response)
            yield seconds
        raise AssertionError("the last try returns or raises")

    def predict(
        self, picture: Picture, abstain: float | None, explain: bool, provenance: bool, with_input: bool
    ) -> Steps[Answer]:
        query: dict[str, Any] = {} if abstain is None else {"abstain": abstain}
        if explain:
            query["explain"] = "gradcam"
        if provenance:
            query["provenance"] = "1"
        if with_input:
            query["input"] = "1"
        headers = {"Content-Type": "application/octet-stream"}
        response = yield from self.ask(
            "POST", "predict", content=_file(picture), params=query, headers=headers
        )
        return _record(Answer, response)

    def batch(self, paths: Paths, team: str, positive: str) -> Steps[list[Row]]:
        query = {"team": team, "positive": positive}
        response = yield from self.ask("POST", "batch", paths, params=query)
        rows: list[Row] = response.json()
        return rows

    def submit(self, paths: Paths, team: str, positive: str) -> Steps[Job]:
        query = {"team": team, "positive": positive}
        headers = {"Prefer": "respond-async", "Idempotency-Key": str(uuid.uuid4())}
        return _record(Job, (yield from self.ask("POST", "batch", paths, params=query, headers=headers)))

    def job(self, job_id: str) -> Steps[Job]:
        return _record(Job, (yield from self.ask("GET", f"batch/{job_id}")))

    def wait(self, job: Job, timeout: float, progress: Callable[[Job], None] | bool) -> Steps[Job]:
        show = _bar() if progress is True else progress or (lambda job: None)
        deadline, seconds = time.monotonic() + timeout, FIRST_POLL_SECONDS
        show(job)
        while not job.ended:
            if time.monotonic() + seconds > deadline:
                raise TimeoutError(f"job {job.id} is {job.state} after {timeout:.0f} s")
            yield seconds
            seconds = min(seconds * 1.5, LONGEST_POLL_SECONDS)
            job = yield from self.job(job.id)
            show(job)
        return job

    def result(self, job: Job, positive: str | None) -> Steps[list[Row]]:
        query = {} if positive is None else {"positive": positive}
        response = yield from self.ask("GET", f"batch/{job.id}/result", params=query)
        rows: list[Row] = response.json()
        return rows

    def delete(self, job: Job) -> Steps[None]:
        yield from self.ask("DELETE", f"batch/{job.id}")


def _form(paths: Paths, opened: ExitStack) -> list[tuple[str, tuple[str, Any]]]:
    """The fields of a form. Pictures are read into memory, since few files can be open; an archive is not."""
    if isinstance(paths, str | os.PathLike):
        return [("archive", (Path(paths).name, opened.enter_context(Path(paths).open("rb"))))]
    return [("files", (Path(path).name, Path(path).read_bytes())) for path in paths]


def _options(url: str, key: str | None, timeout: float, transport: Any) -> dict[str, Any]:
    return {
        "base_url": url,
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
        "timeout": httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
        "transport": transport,
    }


class Client:
    """Asks the service at `url`, such as http://localhost:8000, and waits for its answers.

    key: an API key, where the service asks for one. timeout: seconds without a byte of an answer. retries:
    after 429 and 503, as their `Retry-After` says. All methods raise ProblemError.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        timeout: float = 330,
        retries: Retries = Retries(),
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(**_options(url, key, timeout, transport))
        self._steps = _Steps(self._http, retries)

    def predict(
        self,
        picture: Picture,
        abstain: float | None = None,
        explain: bool = False,
        provenance: bool = False,
        with_input: bool = False,
    ) -> Answer:
        """Classify one picture. abstain: the label is UNCERTAIN below that confidence, from 0 to 1.

        explain, provenance, with_input: ask for what `heat_map`, `provenance` and `network_input` hold.
        """
        return self._run(self._steps.predict(picture, abstain, explain, provenance, with_input))

    def batch(self, paths: Paths, team: str, positive: str = "REAL") -> list[Row]:
        """Predictions for many pictures. positive: REAL or FAKE, the label whose probability is answered."""
        return self._run(self._steps.batch(paths, team, positive))

    def submit(self, paths: Paths, team: str, positive: str = "REAL") -> Job:
        """The same as a job, which goes on without this client."""
        return self._run(self._steps.submit(paths, team, positive))

    def job(self, job_id: str) -> Job:
        """How far a job is."""
        return self._run(self._steps.job(job_id))

    def wait(self, job: Job, timeout: float = 86400, progress: Callable[[Job], None] | bool = True) -> Job:
        """The job when it has ended. progress: is called with the job; True: a bar, if tqdm is installed.

        Raises TimeoutError after `timeout` seconds.
        """
        return self._run(self._steps.wait(job, timeout, progress))

    def result(self, job: Job, positive: str | None = None) -> list[Row]:
        """The predictions of a job that is done. positive: as in `submit`; None: what was said there."""
        return self._run(self._steps.result(job, positive))

    def delete(self, job: Job) -> None:
        """Cancel a job that has not ended, or remove one that has."""
        self._run(self._steps.delete(job))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, steps: Steps[Result]) -> Result:
        response: httpx.Response | None = None
        while True:
            try:
                step = steps.send(response)
            except StopIteration as end:
                result: Result = end.value
                return result
            response = None
            if isinstance(step, httpx.Request):
                response = self._http.send(step)
            else:
                time.sleep(step)


class AsyncClient:
    """As Client, in coroutines."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        timeout: float = 330,
        retries: Retries = Retries(),
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(**_options(url, key, timeout, transport))
        self._steps = _Steps(self._http, retries)

    async def predict(
        self,
        picture: Picture,
        abstain: float | None = None,
        explain: bool = False,
        provenance: bool = False,
        with_input: bool = False,
    ) -> Answer:
        """See Client."""
        return await self._run(self._steps.predict(picture, abstain, explain, provenance, with_input))

    async def batch(self, paths: Paths, team: str, positive: str = "REAL") -> list[Row]:
        """See Client."""
        return await self._run(self._steps.batch(paths, team, positive))

    async def submit(self, paths: Paths, team: str, positive: str = "REAL") -> Job:
        """See Client."""
        return await self._run(self._steps.submit(paths, team, positive))

    async def job(self, job_id: str) -> Job:
        """See Client."""
        return await self._run(self._steps.job(job_id))

    async def wait(
        self, job: Job, timeout: float = 86400, progress: Callable[[Job], None] | bool = True
    ) -> Job:
        """See Client."""
        return await self._run(self._steps.wait(job, timeout, progress))

    async def result(self, job: Job, positive: str | None = None) -> list[Row]:
        """See Client."""
        return await self._run(self._steps.result(job, positive))

    async def delete(self, job: Job) -> None:
        """See Client."""
        await self._run(self._steps.delete(job))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, steps: Steps[Result]) -> Result:
        response: httpx.Response | None = None
        while True:
            try:
                step = steps.send(response)
            except StopIteration as end:
                result: Result = end.value
                return result
            response = None
            if isinstance(step, httpx.Request):
                response = await self._http.send(step)
            else:
                await asyncio.sleep(step)
