"""Checks of the addresses to listen on, because gunicorn would retry for seconds or print a traceback."""

import ipaddress
import os
import socket
import stat
from pathlib import Path

Address = tuple[str, int] | str | int
"""gunicorn's `parse_address`: host and port, path of a Unix socket, or number of an open file descriptor."""


def check_address(address: Address) -> None:
    """Raise OSError, OverflowError or ValueError, with the reason, if nothing can listen at the address."""
    if isinstance(address, tuple):
        _check_port(address)
    elif isinstance(address, int):
        _check_descriptor(address)
    elif not address.startswith("\0"):  # else it is not in the file system
        _check_path(Path(address))


def is_public(address: Address) -> bool:
    """Whether other machines can reach the address: not of a Unix socket, nor of this machine's loopback."""
    if not isinstance(address, tuple) or address[0] == "localhost":
        return False
    try:
        return not ipaddress.ip_address(address[0]).is_loopback
    except ValueError:  # a name
        return True


def _check_port(address: tuple[str, int]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as test_socket:
        test_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        test_socket.bind(address)


def _check_descriptor(descriptor: int) -> None:
    with socket.socket(fileno=os.dup(descriptor)) as inherited:
        if inherited.type != socket.SOCK_STREAM:
            raise ValueError("the file descriptor is not that of a stream socket")


def _check_path(path: Path) -> None:
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise ValueError("the file is there and is not a socket")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError("the folder of the socket is missing or cannot be written to")
