"""Read a student's files from a folder or a zip file that nobody vouches for.

Only the files of the tasks are looked for, by name, and read into memory; nothing
is unpacked, no link is followed, and a path that leads out of the submission is
not one of the names. What cannot be read is a Refused, whose text the student sees.
"""

import os
import stat
import zipfile
from pathlib import Path, PurePosixPath

LARGEST = 60_000  # bytes of one source file; the package's own have 15,000
DEEPEST = 4       # steps down to a file
PASSED_OVER = {"build", "venv", "env", "site-packages", "__MACOSX", "__pycache__"}  # and hidden ones: no place for work


class Refused(ValueError):
    """Why a file of a submission is not graded."""


class Submission:
    """A folder or a zip file; `source(name)` is the text of one file of the package."""

    def __init__(self, path):
        self.path, self._links = Path(path), []
        if self.path.is_dir():
            self._names, self._bytes = self._folder(), self._from_folder
        elif zipfile.is_zipfile(self.path):
            self._names, self._bytes = self._zip(), self._from_zip
        else:
            raise ValueError(f"a submission must be a folder or a zip file, got {self.path}")

    def source(self, name):
        """The text of the file that `place` finds. Raises Refused."""
        place = self.place(name)
        data = self._bytes(place)
        if len(data) > LARGEST:
            raise Refused(f"{place} is larger than {LARGEST:,} bytes")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Refused(f"{place} is not UTF-8: byte {error.start} is {data[error.start]:#04x}") from None

    def place(self, name):
        """Where minishatter/`name` lies, or `name` at the top or one folder down. Raises Refused if not once."""
        paths = [path for path in map(PurePosixPath, self._names) if path.name == name and not _passed_over(path)]
        at_home = [path for path in paths if path.parent.name == "minishatter"]
        found = at_home or [path for path in paths if len(path.parts) <= 2]
        if len(found) > 1:
            raise Refused(f"{name} is there {len(found)} times ({', '.join(sorted(map(str, found))[:3])}): "
                          "which one is to be graded? Hand in one")
        if found:
            return str(found[0])
        links = f"; symbolic links are not followed: {', '.join(self._links[:3])}" if self._links else ""
        seen = sorted(place for place in self._names if place.endswith((".py", ".zip", ".ipynb"))
                      and not _passed_over(PurePosixPath(place)))
        there = f"; found: {', '.join(seen[:5])}{' ...' if len(seen) > 5 else ''}" if seen else ""
        raise Refused(f"{name} is missing: it belongs into the folder minishatter of what you hand in{there}{links}")

    def _folder(self):
        """The paths of files, so many steps down; of links, only that they are there."""
        names = []
        for top, folders, files in os.walk(self.path, followlinks=False):
            place = Path(top).relative_to(self.path)
            names += [(place / name).as_posix() for name in files]
            self._links += [(place / name).as_posix() for name in (*files, *folders) if (Path(top) / name).is_symlink()]
            below = len(place.parts) < DEEPEST - 1
            folders[:] = [name for name in folders if below and not _passed_over(Path(name, "_"))]
        return names

    def _from_folder(self, place):
        if place in self._links:
            raise Refused(f"{place} is a symbolic link; hand in the file itself")
        try:
            handle = os.open(self.path / place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise Refused(f"{place} cannot be read: {error.strerror}") from None
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Refused(f"{place} is no regular file")
            return file.read(LARGEST + 1)

    def _zip(self):
        try:
            with zipfile.ZipFile(self.path) as archive:
                return [name for name in archive.namelist() if not name.startswith("/") and "\\" not in name
                        and ".." not in name.split("/") and name.count("/") < DEEPEST]
        except zipfile.BadZipFile as error:
            raise ValueError(f"{self.path} is a damaged zip file: {error}") from None

    def _from_zip(self, place):
        try:
            with zipfile.ZipFile(self.path) as archive:
                if stat.S_ISLNK(archive.getinfo(place).external_attr >> 16):
                    raise Refused(f"{place} is a symbolic link; hand in the file itself")
                with archive.open(place) as file:
                    return file.read(LARGEST + 1)
        except Refused:
            raise
        except Exception as error:  # a damaged zip file fails in the ways of every compression there is
            raise Refused(f"{place} cannot be read from the zip file: {error}") from None


def _passed_over(path):
    """Does a file lie where nobody keeps work: in a virtual environment, a build, a hidden folder?"""
    return any(part in PASSED_OVER or part.startswith(".") for part in path.parts[:-1])
