import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.server.connections import AHEAD, ClientSocket

GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde"
CHUNKED = b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
LARGE = b"POST /predict HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
WAITING = b"POST /predict HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"


@pytest.fixture
def pair() -> Iterator[tuple[ClientSocket, socket.socket]]:
    ours, theirs = socket.socketpair()
    sock = ClientSocket(ours, stall=0.05, total=10.0)
    with sock, theirs:
        yield sock, theirs


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.sampled_from([GET, POST, CHUNKED]), st.lists(st.integers(1, 80), max_size=4))
def test_a_request_is_whole_when_its_last_byte_came(request: bytes, cuts: list[int]) -> None:
    ours, theirs = socket.socketpair()
    with ClientSocket(ours, 1.0, 10.0) as sock, theirs:
        places = sorted({min(cut, len(request)) for cut in cuts} | {0, len(request)})
        for start, stop in pairwise(places):
            theirs.sendall(request[start:stop])
            assert sock.receive()
            assert sock.ready() == sock.whole == (stop == len(request))
        assert sock.head_complete
        assert sock.recv(10_000) == request


def test_of_a_long_body_the_beginning_is_enough(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, theirs = pair
    theirs.sendall(LARGE)
    sock.receive()
    assert (sock.ready(), sock.whole) == (False, False)
    theirs.sendall(b"x" * AHEAD)
    while not sock.ready():
        assert sock.receive()
    assert not sock.whole
    assert len(sock.ahead) >= AHEAD


def test_a_client_that_waits_to_be_told_to_go_on_is_not_waited_for(
    pair: tuple[ClientSocket, socket.socket],
) -> None:
    sock, theirs = pair
    theirs.sendall(WAITING)
    sock.receive()
    assert (sock.ready(), sock.whole) == (True, False)


def test_a_head_without_end_is_handed_over(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, theirs = pair
    theirs.sendall(b"GET /" + b"x" * AHEAD)
    while not sock.ready():
        assert sock.receive()
    assert not sock.head_complete
    assert len(sock.ahead) < 3 * AHEAD


def test_what_was_read_ahead_comes_first_and_then_the_limit(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, theirs = pair
    theirs.sendall(b"abc")
    sock.receive()
    theirs.sendall(b"def")
    assert [sock.recv(2), sock.recv(10), sock.recv(10)] == [b"ab", b"c", b"def"]
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        sock.recv(10)
    assert time.monotonic() - begun < 5
    sock.given_up = True
    theirs.sendall(b"late")
    with pytest.raises(TimeoutError, match="too long"):
        sock.recv(10)


def test_a_client_that_does_not_read_its_answer_is_not_waited_for(
    pair: tuple[ClientSocket, socket.socket],
) -> None:
    with pytest.raises(TimeoutError):
        pair[0].sendall(bytes(50_000_000))


def test_a_large_answer_comes_whole(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, theirs = pair
    answer, came = HEAD + bytes(3_000_000), bytearray()

    def read() -> None:
        while len(came) < len(answer):
            came.extend(theirs.recv(1 << 16))

    reader = threading.Thread(target=read)
    reader.start()
    sock.stall = 10.0
    sock.sendall(HEAD)
    sock.sendall(answer[len(HEAD) :])
    reader.join()
    assert bytes(came) == answer
    assert sock.gettimeout() == 0


def test_a_head_waits_for_its_body_or_the_end(pair: tuple[ClientSocket, socket.socket]) -> None:
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


def test_a_watched_connection_keeps_its_number_until_it_is_not(
    pair: tuple[ClientSocket, socket.socket],
) -> None:
    sock, theirs = pair
    sock.watched = True
    sock.close()
    assert sock.fileno() >= 0
    assert theirs.recv(1) == b""
    sock.watched = False
    sock.close()
    assert sock.fileno() < 0


def test_pauses_and_slowness(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, theirs = pair
    now = time.monotonic()
    assert not sock.too_slow(now + 1000)  # nothing has begun
    theirs.sendall(b"GET")
    sock.receive()
    assert not sock.too_slow(sock.begun)
    assert sock.too_slow(sock.progress + 0.06)
    sock.progress = sock.begun + 10.001  # it never paused, and takes for ever
    assert sock.too_slow(sock.progress)


def test_the_next_request_begins_anew(pair: tuple[ClientSocket, socket.socket]) -> None:
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


def test_a_closed_connection(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, theirs = pair
    assert sock.receive()  # nothing is there, and it is open
    theirs.close()
    assert not sock.receive()
