"""Comparison with the design published for the hackathon: `python -m tests.benchmarks.published`."""

import sys

from tests.benchmarks.command import parser, run
from tests.benchmarks.load import form
from tests.benchmarks.servers import Contender, ours
from tests.pictures import encode, noise

PUBLISHED = Contender(
    "published design",
    (
        sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:{port}", "-w", "1", "--threads", "8",
        "tests.benchmarks.contenders.published_app:app",
    ),
)  # fmt: skip

if __name__ == "__main__":
    request = form("file", encode(noise()))
    options = parser("published", connections=(1, 8, 32, 128)).parse_args()
    run(options, [(one, {"small": request}) for one in (ours(), PUBLISHED)])
