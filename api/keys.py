"""Makes, lists and revokes API keys: `python -m api.keys new NAME`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from api.security.key_file import Key, KeyFileError, read_keys, write_keys
from model.files import folder_lock

VARIABLE = "CIFAKE_KEYS_FILE"


def new(path: Path, name: str, admin: bool) -> None:
    """Print a new key, and add it to the file, which need not exist yet. Raises KeyFileError, OSError."""
    key, text = Key.new(name, "admin" if admin else "user")
    with folder_lock(path.parent):
        keys = read_keys(path) if path.exists() else []
        if name in (other.name for other in keys):
            raise KeyFileError(f"there is a key of the name {name}: revoke it first, or take another name")
        write_keys(path, [*keys, key])
    print(text)
    print("This is shown once. Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`.", file=sys.stderr)


def revoke(path: Path, name: str) -> None:
    """Remove a key from the file. Raises KeyFileError, OSError."""
    with folder_lock(path.parent):
        keys = read_keys(path)
        left = [key for key in keys if key.name != name]
        if left == keys:
            raise KeyFileError(f"there is no key of the name {name}")
        write_keys(path, left)


def show(path: Path) -> None:
    """Print the names, roles and times of the keys. Raises KeyFileError."""
    for key in read_keys(path):
        print(f"{key.name:<24} {key.role:<5} {key.created:%Y-%m-%dT%H:%M:%SZ}")


def main(arguments: Sequence[str] | None = None) -> int | str:
    """Run the command. Returns what `sys.exit` takes: 0, or a sentence on what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m api.keys", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    new_parser = commands.add_parser("new", help="print a new key, and add its digest to the file")
    new_parser.add_argument("--admin", action="store_true", help="let it also use the routes of /admin")
    revoke_parser = commands.add_parser("revoke", help="remove a key; it is refused about a second later")
    for command in (new_parser, revoke_parser):
        command.add_argument("name", metavar="NAME", help="what the log is to call the key's owner")
    for command in (new_parser, revoke_parser, commands.add_parser("list", help="print what keys there are")):
        command.add_argument("--file", type=Path, help=f"the file of keys; by default {VARIABLE}")
    chosen = parser.parse_args(arguments)
    path: Path | None = chosen.file
    if path is None:
        if os.environ.get(VARIABLE, "none") == "none":
            return f"error: say which file: --file FILE, or {VARIABLE}"
        path = Path(os.environ[VARIABLE])
    try:
        if chosen.command == "new":
            new(path, chosen.name, chosen.admin)
        elif chosen.command == "revoke":
            revoke(path, chosen.name)
        else:
            show(path)
    except KeyFileError as error:
        return f"error: {path}: {error}"
    except OSError as error:
        return f"error: {path} cannot be written: {error.strerror}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
