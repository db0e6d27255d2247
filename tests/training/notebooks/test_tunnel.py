"""The tunnel's program, by a script in its place: run only if it is what was published, and ended."""

import hashlib
import os
import platform
from pathlib import Path

import pytest

from training.notebooks import tunnel
from training.notebooks.tunnel import Tunnel, TunnelError, open_tunnel

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="cloudflared is for Linux on x86-64")

LOG = """
2026-11-28T10:00:00Z INF Requesting new quick Tunnel on trycloudflare.com...
2026-11-28T10:00:02Z INF |  https://two-words-and-2.trycloudflare.com                                  |
"""


def script(path: Path, *lines: str) -> Path:
    """A program that writes its process id and its arguments beside itself, and does what `lines` say."""
    path.write_text("\n".join(["#!/bin/sh", f'echo "$$ $@" > {path}.run', *lines, ""]))
    path.chmod(0o755)
    return path


def serving(path: Path) -> Path:
    return script(path, f"cat >&2 <<'END'{LOG}END", "exec sleep 60")


def is_running(path: Path) -> bool:
    process = int(Path(f"{path}.run").read_text().split()[0])
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def publish(monkeypatch: pytest.MonkeyPatch, program: Path) -> None:
    """Let `program` be what is downloaded, and its digest the published one."""
    monkeypatch.setattr(tunnel, "PROGRAM", program.as_uri())
    monkeypatch.setattr(tunnel, "SHA256", hashlib.sha256(program.read_bytes()).hexdigest())


def test_the_published_program_is_run_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = serving(tmp_path / "published")
    publish(monkeypatch, program)
    for _ in range(2):  # downloaded, and kept from before
        opened = open_tunnel("http://127.0.0.1:8000", tmp_path / "kept")
        assert opened.address == "https://two-words-and-2.trycloudflare.com"
        assert is_running(program)
        arguments = Path(f"{program}.run").read_text().split()[1:]
        assert arguments == ["tunnel", "--no-autoupdate", "--url", "http://127.0.0.1:8000"]
        opened.close()
        assert not is_running(program)
        monkeypatch.setattr(tunnel, "PROGRAM", "file:///no/such/program")


def test_another_program_is_neither_run_nor_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = serving(tmp_path / "published")
    publish(monkeypatch, program)
    program.write_text(program.read_text() + "# more\n")
    with pytest.raises(
        TunnelError, match=r"^this is not cloudflared 2026\.9\.1: its SHA-256 is \w{64}, not \w{64}"
    ):
        open_tunnel("http://127.0.0.1:8000", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    assert not Path(f"{program}.run").exists()


def test_a_kept_program_that_was_changed_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, serving(tmp_path / "published"))
    changed = serving(tmp_path / f"cloudflared-{tunnel.VERSION}")
    with pytest.raises(TunnelError, match="this is not cloudflared"):
        open_tunnel("http://127.0.0.1:8000", tmp_path)
    assert not Path(f"{changed}.run").exists()


@pytest.mark.parametrize("lines", [("echo no network >&2", "exit 1"), ("exec sleep 60",)])
def test_a_program_that_tells_no_address_is_ended(tmp_path: Path, lines: tuple[str, ...]) -> None:
    program = script(tmp_path / "program", *lines)
    with pytest.raises(TunnelError, match="cloudflared told no address within 1 s: run this cell again"):
        Tunnel(program, "http://127.0.0.1:8000", seconds=1)
    assert not is_running(program)


@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 10), ("DOWNLOAD_SECONDS", -1)])
def test_a_download_is_limited(
    tmp_path: Path, limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large").write_bytes(bytes(11))
    monkeypatch.setattr(tunnel, limit, value)
    with pytest.raises(TunnelError, match="has more than .* bytes or takes more than .* s"):
        tunnel.download((tmp_path / "large").as_uri())


def test_another_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(TunnelError, match="the program is for Linux on x86-64 only: untick TUNNEL"):
        open_tunnel("http://127.0.0.1:8000", tmp_path)
