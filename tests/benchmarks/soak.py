"""A minute of 128 requests at once: errors, the longest answer, memory. `python -m tests.benchmarks.soak`."""

import argparse
import threading
import time

from tests.benchmarks.load import form, load
from tests.benchmarks.servers import ours, running
from tests.pictures import encode, noise

if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m tests.benchmarks.soak")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    with running(ours()) as service:
        print(f"ready after {service.started:.1f} s, {service.megabytes():.0f} MB")
        over = threading.Event()

        def watch() -> None:
            while not over.wait(10):
                print(f"{time.strftime('%H:%M:%S')}  {service.megabytes():.0f} MB", flush=True)

        threading.Thread(target=watch, daemon=True).start()
        found = load(service.url + "/predict", form("file", encode(noise())), 128, options.seconds)
        over.set()
        print(f"{found}\n{service.megabytes():.0f} MB")
