"""Downloads from a server on the loopback that stalls, truncates, corrupts, ignores ranges or sends something else.

Each ends with the file whole and right, or with an error that says what happened.
"""

import hashlib
import os

import numpy as np
import pytest

from minishatter.images import download
from tests import loopback

CONTENT = np.random.default_rng(0).bytes(100_003)
SIZE, MD5 = len(CONTENT), hashlib.md5(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """No pauses, no proxy."""
    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "file.part"


def fetch(server, path, **kwargs):
    return download.fetch(server.url, path, SIZE, MD5, **kwargs)


TROUBLE = {
    "none": [],
    "truncated": [loopback.truncated],
    "truncated thrice": [loopback.truncated] * 3,
    "headers only": [loopback.empty],
    "reset": [loopback.reset],
    "no HTTP": [loopback.garbled],
    "a server error": [loopback.answer(500)],
    "busy": [loopback.answer(503), loopback.answer(429)],
    "corrupted": [loopback.corrupted],
    "corrupted after truncated": [loopback.truncated, loopback.corrupted],
    "redirected": [loopback.redirect("/elsewhere")],
    "redirected when resumed": [loopback.truncated, loopback.redirect("/elsewhere")],
    "ranges ignored": [loopback.truncated, loopback.whole],
    "ranges ignored, and truncated": [loopback.truncated, lambda h, c, s: loopback.truncated(h, c, 0)],
    "another range": [loopback.truncated, loopback.misplaced],
    "no such range": [loopback.truncated, loopback.answer(416)],
    "no length": [loopback.unmeasured],
    "a login page": [loopback.another],
}


@pytest.mark.parametrize("kind", TROUBLE)
def test_trouble_that_passes_ends_with_the_file(kind, path):
    with loopback.Server(CONTENT, [*TROUBLE[kind], loopback.good]) as server:
        assert fetch(server, path) == path
    assert path.read_bytes() == CONTENT and os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("rule", [loopback.stalled, loopback.silent])
def test_a_server_that_stalls_is_left(rule, path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 1.0)
    with loopback.Server(CONTENT, [rule, loopback.good]) as server:
        fetch(server, path)
        arrived = SIZE // 2 if rule is loopback.stalled else 0
        assert [asked.range for asked in server.requests[:2]] == [None, f"bytes={arrived}-" if arrived else None]
    assert path.read_bytes() == CONTENT


LASTING = {
    "not found": (loopback.answer(404), OSError, "404", 1),
    "forbidden": (loopback.answer(403), OSError, "403", 1),
    "a server error": (loopback.answer(500), OSError, "500", 4),
    "no such range": (loopback.answer(416), OSError, "416", 4),
    "headers only": (loopback.empty, OSError, "ended after 0 bytes", 4),
    "no HTTP": (loopback.garbled, OSError, "220 ready", 4),
    "corrupted": (loopback.corrupted, ValueError, f"expected the MD5 sum {MD5}", 4),
    "a login page": (loopback.another, ValueError, "offers 27 bytes, the file has 100,003", 4),
}


@pytest.mark.parametrize("kind", LASTING)
def test_trouble_that_lasts_ends_with_an_error_that_says_it_all(kind, path):
    rule, error, says, attempts = LASTING[kind]
    with loopback.Server(CONTENT, [rule]) as server, pytest.raises(error) as caught:
        fetch(server, path)
    message = str(caught.value)
    assert says in message and f"in {attempts} of 4 attempts" in message and len(server.requests) == attempts
    assert server.url in message and str(path) in message and "0 of 100,003 bytes have arrived" in message
    assert not path.exists() or path.read_bytes() == b""


def test_a_redirect_to_itself_ends(path):
    with loopback.Server(CONTENT, [loopback.redirect("/archive")]) as server, pytest.raises(OSError, match="redirect"):
        fetch(server, path)


def test_no_server_at_all(path):
    with loopback.Server(CONTENT) as server:
        pass
    with pytest.raises(OSError, match="4 of 4 attempts.*refused"):
        fetch(server, path)


def only_ranges(rule):
    """Do badly whenever a range is asked for."""
    return lambda handler, content, start: (rule if start else loopback.good)(handler, content, start)


@pytest.mark.parametrize("rule, ranges", [(loopback.whole, [None, "bytes=50001-"]),
                                          (loopback.misplaced, [None, "bytes=50001-", None]),
                                          (loopback.answer(416), [None, "bytes=50001-", None])],
                         ids=["ignored", "misplaced", "refused"])
def test_a_server_that_cannot_do_ranges_is_asked_for_all_of_it(rule, ranges, path):
    with loopback.Server(CONTENT, [loopback.truncated, only_ranges(rule)]) as server:
        fetch(server, path)
    assert path.read_bytes() == CONTENT and [request.range for request in server.requests] == ranges


def test_a_truncated_download_is_resumed_byte_for_byte(path):
    """A half, a half of the rest, the rest: together every byte is sent once."""
    with loopback.Server(CONTENT, [loopback.truncated, loopback.truncated, loopback.good]) as server:
        fetch(server, path)
    assert [request.range for request in server.requests] == [None, "bytes=50001-", "bytes=75002-"]
    assert sum(request.sent for request in server.requests) == SIZE


def test_the_next_call_resumes_what_the_last_one_left(path, monkeypatch):
    monkeypatch.setattr(download, "TRIES", 1)
    with loopback.Server(CONTENT, [loopback.truncated, loopback.good]) as server:
        with pytest.raises(OSError, match="ended after 50,001 bytes.* 50,001 of 100,003 bytes have arrived"):
            fetch(server, path)
        assert path.read_bytes() == CONTENT[:50_001]
        fetch(server, path)
    assert path.read_bytes() == CONTENT
    assert [request.range for request in server.requests] == [None, "bytes=50001-"]
    assert sum(request.sent for request in server.requests) == SIZE


def test_what_progress_interrupts_is_kept(path, monkeypatch):
    """As Ctrl-C does: the blocks that have arrived stay, and the next call goes on from there."""
    monkeypatch.setattr(download, "BLOCK", 10_000)

    def interrupted(blocks):
        for start in blocks:
            if start == 30_000:
                raise KeyboardInterrupt
            yield start

    with loopback.Server(CONTENT) as server:
        with pytest.raises(KeyboardInterrupt):
            fetch(server, path, progress=interrupted)
        assert path.read_bytes() == CONTENT[:30_000]
        fetch(server, path)
        assert server.requests[1].range == "bytes=30000-"
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("there", [b"", b"x", b"x" * (SIZE - 1), b"x" * SIZE, CONTENT + b"x"],
                         ids=["nothing", "a wrong byte", "all but one", "as long", "longer"])
@pytest.mark.parametrize("rule", [loopback.good, loopback.whole])
def test_a_wrong_beginning_is_found_out_and_replaced(there, rule, path):
    path.parent.mkdir()
    path.write_bytes(there)
    with loopback.Server(CONTENT, [rule]) as server:
        fetch(server, path)
    assert path.read_bytes() == CONTENT and len(server.requests) <= 2


def test_a_file_that_is_there_needs_no_server(path):
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert download.fetch("http://127.0.0.1:9/", path, SIZE, MD5) == path


def test_progress_counts_blocks_of_what_is_missing(path, monkeypatch):
    monkeypatch.setattr(download, "BLOCK", 10_000)
    seen = []

    def progress(blocks):
        seen.append(len(blocks))
        return iter(blocks)

    with loopback.Server(CONTENT, [loopback.truncated, loopback.good]) as server:
        fetch(server, path, progress=progress)
    assert seen == [11, 6]  # 100,003 bytes, then 50,002


def test_pauses_double(path, monkeypatch):
    pauses = []
    monkeypatch.setattr(download, "PAUSE", 2.0)
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    with loopback.Server(CONTENT, [loopback.answer(500)]) as server, pytest.raises(OSError):
        fetch(server, path)
    assert pauses == [2.0, 4.0, 8.0]
