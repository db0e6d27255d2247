"""Requests that Schemathesis makes from `/openapi.json`: `python -m tests.abuse openapi [CASES]`.

Every answer must be one that the description has: its status, headers and body; no 500, and nothing accepted
that the description forbids. Needs the command `schemathesis` (`pip install --group abuse`).
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.benchmarks.servers import ours, running

CASES = 300  # of each operation
SEED = 1
MAX_SECONDS = 3600
LINE = 400  # characters that are shown of one
# Pictures and archives are random bytes, and refused for it; what is refused may also be too large.
CONFIGURATION = """
[checks]
positive_data_acceptance.enabled = false
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 413, 414, 415, 422, 429, 431]
"""


def main(cases: int = CASES) -> int:
    """Run and print it. Returns the exit status, 0 if every answer was as described."""
    command = shutil.which(
        "schemathesis", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    if command is None:
        print("the command schemathesis is missing: pip install --group abuse", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder, running(ours(CIFAKE_OUTPUT_DIR=folder)) as server:
        configuration = Path(folder, "schemathesis.toml")
        configuration.write_text(CONFIGURATION)
        options = [f"--max-examples={cases}", f"--seed={SEED}", "--continue-on-failure", "--no-color"]
        arguments = [command, f"--config-file={configuration}", "run", *options, f"{server.url}/openapi.json"]
        process = subprocess.Popen(
            [*arguments, "--suppress-health-check=all"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        timer = threading.Timer(MAX_SECONDS, process.kill)
        timer.start()
        for line in process.stdout:
            print(line[:LINE].rstrip(), flush=True)
        timer.cancel()
        return 1 if process.wait() else 0
