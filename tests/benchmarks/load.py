"""Load generation with wrk, which repeats one request on a number of connections."""

import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = """
wrk.method = "POST"
local file = io.open(os.getenv("BODY"), "rb")
wrk.body = file:read("*all")
file:close()
wrk.headers["Content-Type"] = os.getenv("CONTENT_TYPE")
local statuses, threads = {}, {}
function setup(thread) table.insert(threads, thread) end
function init() busy, wrong = 0, 0 end
function response(status)
  if status == 429 then busy = busy + 1 elseif status ~= 200 then wrong = wrong + 1 end
end
function done(summary, latency)
  local busy, wrong = 0, 0
  for _, thread in ipairs(threads) do
    busy = busy + thread:get("busy")
    wrong = wrong + thread:get("wrong")
  end
  local e = summary.errors
  io.stderr:write(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %f, "p99": %f, "longest": %f, ' ..
    '"busy": %d, "wrong": %d, "broken": %d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    busy, wrong, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True)
class Request:
    """The body of a request."""

    body: bytes
    content_type: str


@dataclass(frozen=True)
class Load:
    """rate: answers 200 per second. p50, p99, longest: milliseconds. busy: answers 429. failed: others."""

    rate: float
    p50: float
    p99: float
    longest: float
    busy: int
    failed: int


def form(field: str, picture: bytes, name: str = "x.png", kind: str = "image/png") -> Request:
    """A picture in a multipart form, as curl -F sends it."""
    boundary = uuid.uuid4().hex
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    body = head.encode() + picture + f"\r\n--{boundary}--\r\n".encode()
    return Request(body, f"multipart/form-data; boundary={boundary}")


def ask(url: str, request: Request) -> Any:
    """The JSON that one request is answered with. Raises urllib.error.HTTPError for an error status."""
    posted = urllib.request.Request(url, request.body, {"Content-Type": request.content_type})
    with urllib.request.urlopen(posted, timeout=600) as response:
        return json.load(response)


def load(url: str, request: Request, connections: int, seconds: int) -> Load:
    """Post the request on all connections, each again as soon as it is answered."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt-get install wrk, or https://github.com/wg/wrk")
    with tempfile.TemporaryDirectory() as folder:
        script, body = Path(folder) / "post.lua", Path(folder) / "body"
        script.write_text(SCRIPT)
        body.write_bytes(request.body)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", script, url]
        environment = os.environ | {"BODY": str(body), "CONTENT_TYPE": request.content_type}
        ended = subprocess.run(command, env=environment, capture_output=True, check=True)
    values = json.loads(ended.stderr[ended.stderr.index(b"{") :])
    wrong = values["busy"] + values["wrong"]
    return Load(
        rate=(values["requests"] - wrong) / values["microseconds"] * 1e6,
        p50=values["p50"] / 1000,
        p99=values["p99"] / 1000,
        longest=values["longest"] / 1000,
        busy=values["busy"],
        failed=values["wrong"] + values["broken"],
    )
