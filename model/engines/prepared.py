"""A checkpoint prepared for a server without torch: OpenVINO's files, made once and kept."""

import fcntl
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from model import ROOT, SHIPPED
from model.metadata import CheckpointError, CheckpointMetadata, digest_of

# Counts up when the files are made in another way.
WAY = 1


def prepared(model: Path, cache: Path | None = None) -> tuple[CheckpointMetadata, Path]:
    """What the checkpoint says, and the folder with its files, which are made first if they are not there.

    cache: the folder that keeps such folders; by default `cifake` in the user's own cache. Raises
    CheckpointError.
    """
    name = f"{digest_of(model)[:16]}-openvino-{version('openvino')}-{WAY}"
    folder = (cache or default_cache()) / name
    if not folder.is_dir():  # a finished one may lie where this user cannot write, as in a container
        folder = _writable(folder.parent) / name
        with open(f"{folder}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several workers start at once, and one of them makes it
            if not folder.is_dir():
                _make(model, folder)
    return read_manifest(folder / "manifest.npz"), folder


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/cifake`, or `~/.cache/cifake`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cifake"


def write_manifest(metadata: CheckpointMetadata, path: Path) -> None:
    """As a file that numpy reads without unpickling anything."""
    values = metadata.values() | {"digest": metadata.digest}
    domain = values.pop("ood_detector") or {}
    np.savez(path, json=np.array(json.dumps(values)), **domain)


def read_manifest(path: Path) -> CheckpointMetadata:
    """What `write_manifest` wrote."""
    with np.load(path, allow_pickle=False) as file:
        values = json.loads(str(file["json"]))
        domain = {name: file[name] for name in file.files if name != "json"}
    return CheckpointMetadata(
        **CheckpointMetadata.fields(values | {"ood_detector": domain or None}), digest=values["digest"]
    )


def _make(model: Path, folder: Path) -> None:
    unfinished = folder.with_name(f".{folder.name}")  # by mkdir: others may read what one user prepared
    shutil.rmtree(unfinished, ignore_errors=True)  # of one that was killed
    unfinished.mkdir()
    try:
        # In a process of its own: torch, once imported, would stay with this one.
        command = [
            sys.executable,
            "-m",
            "model.engines.convert",
            str(model.absolute()),
            str(unfinished.absolute()),
        ]
        ended = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        if ended.returncode:
            raise CheckpointError(f"{model} cannot be prepared for OpenVINO: {ended.stderr.strip()}")
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _writable(cache: Path) -> Path:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=cache).close()
        return cache
    except OSError as error:
        other = Path(tempfile.gettempdir()) / f"cifake-{os.getuid()}"
        other.mkdir(mode=0o700, exist_ok=True)
        logging.getLogger(__name__).warning("%s cannot be written to (%s): using %s", cache, error, other)
        return other


if __name__ == "__main__":
    # For a container's image: the shipped checkpoint, prepared in the folder given.
    print(prepared(SHIPPED, Path(sys.argv[1]))[1])
