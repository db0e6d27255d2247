import os
import socket
from pathlib import Path

import pytest

from api.server.binding import Address, check_address, is_public
from tests.gunicorn_server import STAND_IN, run_gunicorn


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")  # a short path, because a socket's may have 107 bytes


def test_addresses_that_are_free(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_address(server.fileno())
        server.getsockname()  # it is still open
    for address in (("127.0.0.1", 0), ("::", 0), str(folder / "new"), "\0abstract"):
        check_address(address)


def test_a_socket_of_a_former_server_is_replaced(folder: Path) -> None:
    path = folder / "old"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    check_address(str(path))


def test_addresses_where_nothing_can_listen(folder: Path) -> None:
    (folder / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken, (folder / "file").open() as file:
        for address in (taken.getsockname(), ("203.0.113.1", 0), 987_654, file.fileno()):
            with pytest.raises(OSError, match=r"Errno"):
                check_address(address)
    with pytest.raises(OverflowError, match="0-65535"):
        check_address(("127.0.0.1", 99_999))
    with pytest.raises(ValueError, match="is not a socket"):
        check_address(str(folder / "file"))
    with pytest.raises(ValueError, match="missing or cannot be written to"):
        check_address(str(folder / "nowhere" / "socket"))
    with (
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        pytest.raises(ValueError, match="not that of a stream socket"),
    ):
        check_address(datagrams.fileno())


def test_a_descriptor_stays_open() -> None:
    read_end, write_end = os.pipe()
    with pytest.raises(OSError, match="non-socket"):
        check_address(read_end)
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize(
    ("bind", "arguments", "words"),
    [
        ("fd://987654", (), "error: CIFAKE_BIND=fd://987654: [Errno 9] Bad file descriptor"),
        ("fd://0", (), "error: CIFAKE_BIND=fd://0: [Errno 88] Socket operation on non-socket"),
        ("unix:/nowhere/socket", (), "error: CIFAKE_BIND=unix:/nowhere/socket: the folder of the socket is"),
        ("127.0.0.1:0,127.0.0.1:99999", (), "error: CIFAKE_BIND=127.0.0.1:99999: bind(): port must be"),
        ("127.0.0.1:0", ("--certfile", "x"), "error: TLS by --certfile or --keyfile is not supported"),
    ],
)
def test_startup_errors_are_one_sentence(bind: str, arguments: tuple[str, ...], words: str) -> None:
    ended = run_gunicorn(*arguments, application=STAND_IN, BIND=bind)
    assert ended.returncode
    [message] = [line for line in ended.stderr.splitlines() if "[INFO]" not in line]
    assert message.startswith(words)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (("127.0.0.1", 8000), False),
        (("127.8.9.1", 8000), False),
        (("::1", 8000), False),
        (("localhost", 8000), False),
        (("0.0.0.0", 8000), True),
        (("::", 8000), True),
        (("192.0.2.1", 8000), True),
        (("server.example", 8000), True),
        ("/run/socket", False),
        (3, False),
    ],
)
def test_which_addresses_other_machines_can_reach(address: Address, public: bool) -> None:
    assert is_public(address) is public
