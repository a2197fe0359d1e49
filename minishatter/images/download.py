"""Download one file until it is whole and right; what a broken connection leaves behind is not lost."""

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

from .. import arguments

TRIES, PAUSE = 4, 2.0  # attempts, and seconds before the second one; the pause doubles each time
TIMEOUT = 60.0         # seconds without a byte
BLOCK = 2**20          # bytes between two steps of progress


def fetch(url: str, path: str | os.PathLike, size: int, md5: str,
          progress: Callable[[Iterable], Iterable] | None = None) -> Path:
    """Bring the file at `path` to its `size` (bytes) and `md5` (hexadecimal), from url; returns its Path.

    What lies at `path` is taken for a beginning, and only the rest is asked for. A server that
    cannot send a rest sends it all again; a file with the wrong sum is removed and started anew.
    progress wraps the iteration over blocks of 1 MiB, such as running.progress("CIFAR-10").

    Raises OSError if a few attempts fail: what has arrived stays, and calling again goes on
    from there. Raises ValueError if the server has a file of another size or sum.
    """
    check_source(url, progress)
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be the path of a file, got {path!r}")
    if not isinstance(md5, str) or not re.fullmatch("[0-9a-f]{32}", md5):
        raise ValueError(f"md5 must be 32 hexadecimal digits in lower case, got {md5!r}")
    path, size = Path(path), arguments.integer("size", size)
    path.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, TRIES + 1):
        try:
            _resume(url, path, size, progress or iter)
            return _verified(path, size, md5)
        except (OSError, ValueError, http.client.HTTPException) as error:
            failure = error
        if attempt == TRIES or _is_final(failure):
            break
        time.sleep(PAUSE * 2**(attempt - 1))
    kind = ValueError if isinstance(failure, ValueError) else OSError
    raise kind(f"{url} did not give the file in {attempt} of {TRIES} attempts; the last one: "
               f"{str(failure) or repr(failure)}. {_length(path):,} of {size:,} bytes have arrived in {path}: call "
               "again to resume, or save the file under that name by other means, and call again") from failure


def check_source(url: str, progress: Callable[[Iterable], Iterable] | None) -> None:
    """Raise ValueError or TypeError unless `fetch` could begin with these."""
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise ValueError(f"url must start with https:// or http://, got {url!r}")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be a function that wraps an iterable, got {progress!r}")


def _length(path):
    return path.stat().st_size if path.exists() else 0


def _is_final(failure):
    """Is it of no use to ask again? So it is if the server says that the request is at fault."""
    code = getattr(failure, "code", 500)  # other failures are of the connection
    return code < 500 and code not in (408, 416, 429)  # too slow, no such bytes, too many requests


def _resume(url, path, size, progress):
    """Ask for the bytes that are missing and add them; if the server sends all of them, start over."""
    have = _length(path)
    if have >= size:
        return
    with _answer(url, path, have) as response:
        part = response.status == 206
        span = response.headers.get("Content-Range", "") if part else ""
        total = span.rpartition("/")[2] if part else response.headers.get("Content-Length", "")
        if total.isdigit() and int(total) != size:
            raise ValueError(f"the server offers {int(total):,} bytes, the file has {size:,}")
        if part and not span.startswith(f"bytes {have}-"):
            path.unlink(missing_ok=True)
            raise OSError(f"the bytes from {have:,} on were asked for, the server sent {span!r}")
        with path.open("ab" if part else "wb") as file:
            _receive(response, file, size - have if part else size, progress)


def _answer(url, path, have):
    """The server's answer to a request for the bytes from `have` on."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # no such bytes: what is at `path` is no beginning of the server's file
            path.unlink(missing_ok=True)
        raise


def _receive(response, file, missing, progress):
    """Copy up to `missing` bytes. read1 gives what there is, so that no byte is lost when the server stalls."""
    for start in progress(range(0, missing, BLOCK)):
        wanted = min(BLOCK, missing - start)
        while wanted:
            piece = response.read1(wanted)
            if not piece:
                return
            file.write(piece)
            wanted -= len(piece)


def _verified(path, size, md5):
    """`path`, if the file is whole and right. A short one stays, a wrong one is removed."""
    if (length := _length(path)) < size:
        raise OSError(f"the connection ended after {length:,} bytes")
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    if digest.hexdigest() != md5:
        path.unlink()
        raise ValueError(f"expected the MD5 sum {md5}, got {digest.hexdigest()}")
    return path
