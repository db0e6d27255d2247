"""A public address for a server on this machine, by Cloudflare's quick tunnels."""

import hashlib
import platform
import queue
import re
import subprocess
import threading
import time
from pathlib import Path
from urllib.request import urlopen

VERSION = "2026.9.1"
PROGRAM = f"https://github.com/cloudflare/cloudflared/releases/download/{VERSION}/cloudflared-linux-amd64"
SHA256 = "03f1f25d1cc93b9ad6c60569d44060bc4f17ed97075760ed8cfca4b12dcd68cc"
"""Of that program, as the notes of the release have it:
https://github.com/cloudflare/cloudflared/releases/tag/2026.9.1"""

MAX_BYTES = 100_000_000
DOWNLOAD_SECONDS = 60
START_SECONDS = 60
ADDRESS = re.compile(r"https://[a-z0-9-]+\.trycloudflare\.com")


class TunnelError(Exception):
    """There is no tunnel; the message has the reason."""


class Tunnel:
    """A running tunnel. address: the public https address."""

    def __init__(self, program: Path, url: str, seconds: float = START_SECONDS) -> None:
        """Start `program`, and wait for the address that it prints. Raises TunnelError."""
        command = [str(program), "tunnel", "--no-autoupdate", "--url", url]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace")
        self._addresses: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.address = self._addresses.get(timeout=seconds)
        except queue.Empty:
            self.address = ""
        if not self.address:
            self.close()
            raise TunnelError(f"cloudflared told no address within {seconds:.0f} s: run this cell again")

    def close(self) -> None:
        """End the program. The address is no longer served."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        """Read all that the program prints, so that it never waits for a reader; pass on the address."""
        assert self._process.stderr
        with self._process.stderr as lines:
            for line in lines:
                if found := ADDRESS.search(line):
                    self._addresses.put(found[0])
        self._addresses.put("")  # it has ended


def open_tunnel(url: str, folder: Path) -> Tunnel:
    """Make `url` public. folder: where cloudflared is kept. Raises TunnelError, OSError without a network."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise TunnelError("the program is for Linux on x86-64 only: untick TUNNEL")
    program = folder / f"cloudflared-{VERSION}"
    if not program.is_file():
        content = download(PROGRAM)
        check(content)
        folder.mkdir(parents=True, exist_ok=True)
        program.write_bytes(content)
    check(program.read_bytes())
    program.chmod(0o755)
    return Tunnel(program, url)


def check(content: bytes) -> None:
    """Raise TunnelError unless this is the program whose digest was published."""
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise TunnelError(f"this is not cloudflared {VERSION}: its SHA-256 is {found}, not {SHA256}")


def download(address: str) -> bytes:
    """The content of a file at an https address. Raises TunnelError if it is over the limits, OSError."""
    end = time.monotonic() + DOWNLOAD_SECONDS
    content = bytearray()
    with urlopen(address, timeout=DOWNLOAD_SECONDS) as response:
        while piece := response.read1(1 << 20):
            content += piece
            if len(content) > MAX_BYTES or time.monotonic() > end:
                raise TunnelError(
                    f"{address} has more than {MAX_BYTES} bytes or takes more than {DOWNLOAD_SECONDS} s"
                )
    return bytes(content)
