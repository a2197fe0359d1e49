"""Write a file whole or not at all."""

import os
from pathlib import Path


def write(path, data):
    """Write the bytes `data` to a temporary name beside `path`, then rename it; makes the folder if need be.

    A reader sees the old file or the new one, never half of one, also after a kill.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"path must be a regular file or new, got {path}, which is something else")
    if not isinstance(data, bytes):
        raise TypeError(f"data must be bytes, got {type(data).__name__}")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
