import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.server.connections import READ_AHEAD_BYTES, ClientSocket

GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde"
CHUNKED = b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
LARGE = b"POST /predict HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
EXPECT_CONTINUE = b"POST /predict HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"


@pytest.fixture
def pair() -> Iterator[tuple[ClientSocket, socket.socket]]:
    ours, theirs = socket.socketpair()
    sock = ClientSocket(ours, stall_timeout=0.05, upload_timeout=10.0)
    with sock, theirs:
        yield sock, theirs


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.sampled_from([GET, POST, CHUNKED]), st.lists(st.integers(1, 80), max_size=4))
def test_a_request_is_complete_with_its_last_byte(request: bytes, cuts: list[int]) -> None:
    ours, theirs = socket.socketpair()
    with ClientSocket(ours, 1.0, 10.0) as sock, theirs:
        boundaries = sorted({min(cut, len(request)) for cut in cuts} | {0, len(request)})
        for start, stop in pairwise(boundaries):
            theirs.sendall(request[start:stop])
            assert sock.receive()
            assert sock.ready() == sock.message_complete == (stop == len(request))
        assert sock.headers_complete
        assert sock.recv(10_000) == request


def test_a_long_body_is_ready_before_it_is_complete(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, theirs = pair
    theirs.sendall(LARGE)
    sock.receive()
    assert (sock.ready(), sock.message_complete) == (False, False)
    theirs.sendall(b"x" * READ_AHEAD_BYTES)
    while not sock.ready():
        assert sock.receive()
    assert not sock.message_complete
    assert len(sock.read_buffer) >= READ_AHEAD_BYTES


def test_expect_100_continue_is_ready_without_a_body(
    pair: tuple[ClientSocket, socket.socket],
) -> None:
    sock, theirs = pair
    theirs.sendall(EXPECT_CONTINUE)
    sock.receive()
    assert (sock.ready(), sock.message_complete) == (True, False)


def test_endless_headers_are_ready_for_the_parser(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, theirs = pair
    theirs.sendall(b"GET /" + b"x" * READ_AHEAD_BYTES)
    while not sock.ready():
        assert sock.receive()
    assert not sock.headers_complete
    assert len(sock.read_buffer) < 3 * READ_AHEAD_BYTES


def test_recv_returns_buffered_bytes_and_then_times_out(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, theirs = pair
    theirs.sendall(b"abc")
    sock.receive()
    theirs.sendall(b"def")
    assert [sock.recv(2), sock.recv(10), sock.recv(10)] == [b"ab", b"c", b"def"]
    started_at = time.monotonic()
    with pytest.raises(TimeoutError):
        sock.recv(10)
    assert time.monotonic() - started_at < 5
    sock.read_aborted = True
    theirs.sendall(b"late")
    with pytest.raises(TimeoutError, match="too long"):
        sock.recv(10)


def test_sendall_times_out_if_the_client_does_not_read(
    pair: tuple[ClientSocket, socket.socket],
) -> None:
    with pytest.raises(TimeoutError):
        pair[0].sendall(bytes(50_000_000))


def test_sendall_of_a_large_response(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, theirs = pair
    response, received = HEAD + bytes(3_000_000), bytearray()

    def read() -> None:
        while len(received) < len(response):
            received.extend(theirs.recv(1 << 16))

    reader = threading.Thread(target=read)
    reader.start()
    sock.stall_timeout = 10.0
    sock.sendall(HEAD)
    sock.sendall(response[len(HEAD) :])
    reader.join()
    assert bytes(received) == response
    assert sock.gettimeout() == 0


def test_headers_are_sent_with_the_body_or_by_flush(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, theirs = pair
    theirs.setblocking(False)
    sock.sendall(HEAD)
    with pytest.raises(BlockingIOError):
        theirs.recv(100)
    sock.sendall(b"body")
    assert theirs.recv(100) == HEAD + b"body"
    sock.sendall(HEAD)
    sock.flush()
    sock.flush()
    assert theirs.recv(100) == HEAD


def test_close_keeps_the_descriptor_of_a_registered_socket(
    pair: tuple[ClientSocket, socket.socket],
) -> None:
    sock, theirs = pair
    sock.registered = True
    sock.close()
    assert sock.fileno() >= 0
    assert theirs.recv(1) == b""
    sock.registered = False
    sock.close()
    assert sock.fileno() < 0


def test_stall_and_upload_timeouts(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, theirs = pair
    now = time.monotonic()
    assert not sock.too_slow(now + 1000)  # no request has started
    theirs.sendall(b"GET")
    sock.receive()
    assert not sock.too_slow(sock.first_byte_at)
    assert sock.too_slow(sock.last_byte_at + 0.06)
    sock.last_byte_at = sock.first_byte_at + 10.001  # no pause, but too long in total
    assert sock.too_slow(sock.last_byte_at)


def test_next_request_resets_the_state(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, theirs = pair
    theirs.sendall(GET + POST[:10])
    sock.receive()
    assert sock.ready()
    sock.recv(len(GET))
    sock.next_request(b"")
    assert not sock.ready()
    theirs.sendall(POST[10:])
    sock.receive()
    assert sock.ready()
    assert sock.recv(1000) == POST


def test_receive_reports_a_closed_connection(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, theirs = pair
    assert sock.receive()  # open, without data
    theirs.close()
    assert not sock.receive()
