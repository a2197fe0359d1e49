"""Write a file whole or not at all, and one process after the other."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path


def write(path: str | os.PathLike, data: bytes) -> None:
    """Write the bytes `data` to a temporary name beside `path`, then rename it; makes the folder if need be.

    A reader sees the old file or the new one, never half of one, also after a kill. A symbolic
    link stays one: the file that it names is written. A file that is replaced keeps its mode.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder, "new", "a.txt"), b"whole")
    ...     Path(folder, "new", "a.txt").read_bytes()
    b'whole'
    """
    path = Path(os.path.realpath(path))
    if os.path.lexists(path) and not path.is_file():  # a link is here only if it leads in a circle
        raise ValueError(f"path must be a regular file or new, got {path}, which is something else")
    if not isinstance(data, bytes):
        raise TypeError(f"data must be bytes, got {type(data).__name__}")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}")  # of this call alone: other threads may write here too
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def alone(folder: str | os.PathLike) -> contextlib.AbstractContextManager:
    """A context for reading, changing and writing files in `folder`, entered by one process or thread at a time.

    The lock is on the folder itself: it leaves no file behind, and the system takes it back
    after a kill. Windows and some network drives have no such lock; there nobody waits.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, alone(folder):
    ...     print(os.listdir(folder))
    []
    """
    if not os.path.isdir(folder):
        raise ValueError(f"folder must be an existing folder, got {folder!r}")
    return _locked(folder)


def held(path: str | os.PathLike) -> contextlib.AbstractContextManager:
    """A context in which no other one may hold the file `path`, which is made if need be; ValueError if one does.

    The lock is on a file, so the file must not be replaced. Where there is none, as above, nobody is refused.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, held(Path(folder, "table.csv")):
    ...     print(os.listdir(folder))
    ['table.csv']
    """
    if not isinstance(path, (str, os.PathLike)) or os.path.lexists(path) and not os.path.isfile(path):
        raise ValueError(f"path must be a regular file or new, got {path!r}")
    return _held(Path(path))


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        _lock_or_refuse(file, path)
        try:
            yield
        finally:
            _unlock(file)


def _lock_or_refuse(file, path):
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:
        return
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(f"path must be a file that nobody else is adding to, got {path}: another process or "
                         "thread is at work on it") from error
    except OSError:  # a network drive
        return
    if not os.path.exists(path) or not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
        raise ValueError(f"path must not be replaced by another process, got {path}; try again")


def _unlock(file):
    """Closing is not enough: a worker that was forked has this file open as well."""
    with contextlib.suppress(ImportError, OSError):
        from fcntl import LOCK_UN, flock
        flock(file, LOCK_UN)


@contextlib.contextmanager
def _locked(folder: str | os.PathLike) -> Iterator[None]:
    try:
        from fcntl import LOCK_EX, flock
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            flock(handle, LOCK_EX)
        yield
    finally:
        os.close(handle)
