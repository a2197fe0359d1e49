"""What a process gives up, for good, before it meets a student's code. Linux; a defence that cannot be had is named.

    files      Landlock: nothing is readable but NumPy, the standard library and the student's own tree;
               nothing can be written, no program started, no other process signalled
    network    an empty network namespace
    user       if root: a user id that belongs to no one, so that file permissions count
    processes  no new process or thread (not enforced for root)
    limits     memory, processor time, no byte into any file, no core dump

Whoever has no root needs none of it: Landlock and namespaces are open to every user
where the system allows them. All of it is inherited and cannot be taken back.
"""

import ctypes
import os
import signal
import sys
import sysconfig
from pathlib import Path

NOBODY = 64123  # belongs to no one, and is among the ids that containers map
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # system calls, the same on every architecture
READ_FILE, LIST_FOLDER = 1 << 2, 1 << 3
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}             # how many rights on files each version of Landlock knows
NEW_USER, NEW_NET = 0x10000000, 0x40000000
DIE_WITH_PARENT, DUMPABLE, KEEP_CAPABILITIES, NO_NEW_PRIVILEGES = 1, 4, 8, 38  # prctl
CAPABILITIES_V3, READ_ANY_FILE = 0x20080522, 1 << 2
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None  # elsewhere nothing is locked


class Ruleset(ctypes.Structure):
    """landlock_ruleset_attr."""

    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scope", ctypes.c_uint64)]


class PathRule(ctypes.Structure):
    """landlock_path_beneath_attr."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("rights", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def lock(readable, memory, seconds):
    """Give up everything above; returns {defence: why it is off} for what could not be had.

    readable: paths that stay readable, besides the standard library; memory in bytes.
    """
    _set_limits(memory, seconds)
    off = {"network": _leave_network(), "files": _see_only(readable)}
    off["user"] = _become_nobody(files_are_locked=not off["files"])
    if off["user"] and landlock() < 6:
        off["signals"] = "a student's code can signal, and so end, other processes of its user"
    if os.geteuid() == 0:
        off["processes"] = "root may start any number of processes"
    LIBC.prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    return {defence: why for defence, why in off.items() if why}


def keep_memory_private():
    """No other process of this user may look into this one's memory or environment (root still may)."""
    return LIBC.prctl(DUMPABLE, 0, 0, 0, 0) == 0


def standard_library():
    """{path: rights}: its folders may be listed, and all in them read but installed packages, which often are there."""
    folders = set(filter(Path.is_dir, (Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))))
    inside = [path for folder in folders for path in folder.iterdir() if not path.name.endswith("-packages")]
    return dict.fromkeys(folders, LIST_FOLDER) | dict.fromkeys(inside, READ_FILE | LIST_FOLDER)


def _set_limits(memory, seconds):
    import resource  # not on Windows, where releases are made too
    try:
        Path("/proc", "self", "oom_score_adj").write_text("1000")  # if memory runs out, this process goes first
    except OSError:
        pass  # then the limit below has to do
    for name, value in (("DATA", memory), ("CPU", seconds), ("FSIZE", 0), ("CORE", 0), ("NPROC", 0)):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def _leave_network():
    for flags in (NEW_NET, NEW_USER | NEW_NET):  # the second needs no root
        if LIBC.unshare(flags) == 0:
            return None
    return f"no network namespace: {_error()}"


def landlock():
    """The version of Landlock that the system offers; below 1 if none."""
    return LIBC.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1)


def _see_only(readable):
    version = landlock()
    if version < 1:
        return f"no Landlock: {_error()}"
    rules = Ruleset((1 << RIGHTS.get(version, 16)) - 1, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = {4: 16, 5: 16}.get(version, 8 if version < 4 else 24)
    ruleset = LIBC.syscall(CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    for path, rights in (dict.fromkeys(readable, READ_FILE | LIST_FOLDER) | standard_library()).items():
        place = os.open(path, os.O_PATH)
        rights &= LIST_FOLDER | READ_FILE if os.path.isdir(path) else READ_FILE
        LIBC.syscall(ADD_RULE, ruleset, 1, ctypes.byref(PathRule(rights, place)), 0)
        os.close(place)
    LIBC.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    failed = LIBC.syscall(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return f"Landlock refused: {_error()}" if failed else None


def _become_nobody(files_are_locked):
    """Where Landlock rules over files, the right to read them stays: the interpreter may lie in a private folder."""
    if os.geteuid():
        return "not root, so a student's code runs as the user who grades"
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        readable = os.access(os.__file__, os.R_OK, effective_ids=True)
        os.seteuid(0)
        if not readable and not files_are_locked:
            return "Python lies in a folder that no other user may read"
        LIBC.prctl(KEEP_CAPABILITIES, 1, 0, 0, 0)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError as error:
        return f"cannot change the user: {error.strerror}"
    kept = READ_ANY_FILE if files_are_locked else 0
    LIBC.capset((ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0), (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0))
    return None


def _error():
    return os.strerror(ctypes.get_errno())
