"""What a process gives up, for good, before it meets a student's code. Linux; proof.py then tries what is left.

    namespaces  no network, no other process and no shared object of the system in sight, where they can be had
    user        if root: a user id that belongs to no one, and no capability
    limits      memory, processor time, no new process, no byte into any file, no message queue, no core dump
    Landlock    nothing is readable but NumPy, the standard library, shared libraries and the student's own tree;
                nothing can be written, no program started, no other process signalled
    seccomp     seccomp.py: the kernel answers what a computation needs, and refuses the rest

No step relies on another, and none is believed: each failure is allowed to happen
here, and is seen by the proof. All of it is inherited and cannot be taken back.
"""

import ctypes
import os
import re
import resource
import signal
import sys
import sysconfig
from pathlib import Path

import seccomp

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # system calls, the same on every architecture
READ_FILE, LIST_FOLDER = 1 << 2, 1 << 3
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}             # how many rights on files each version of Landlock knows
NEW_IPC, NEW_USER, NEW_PID, NEW_NET = 0x08000000, 0x10000000, 0x20000000, 0x40000000
# prctl
DIE_WITH_PARENT, KEEP_CAPABILITIES, DROP_FROM_BOUND, SECURE_BITS, ADOPT_ORPHANS, AMBIENT = 1, 8, 24, 28, 36, 47
NO_NEW_PRIVILEGES, CLEAR_AMBIENT, CAPABILITIES_V3, LAST_CAPABILITY = 38, 4, 0x20080522, 63
NEW_SESSION_KEYRING, CLEAR_KEYRING, USER_KEYRING = 1, 7, -4  # keyctl
KEYCTL = {"x86_64": 250, "aarch64": 219}
LIBC = ctypes.CDLL(None, use_errno=True)


class Ruleset(ctypes.Structure):
    """landlock_ruleset_attr."""

    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scope", ctypes.c_uint64)]


class PathRule(ctypes.Structure):
    """landlock_path_beneath_attr."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("rights", ctypes.c_uint64), ("folder", ctypes.c_int32)]


# Landlock. The rules are made while folders can still be opened, and obeyed later.


def landlock():
    """The version of Landlock that the system offers; below 1 if none."""
    return LIBC.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1)


def rules(readable):
    """The descriptor of a ruleset that lets these paths be read, and Python's own; -1 without Landlock."""
    version = landlock()
    if version < 1:
        return -1
    asked = Ruleset((1 << RIGHTS.get(version, 16)) - 1, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = {4: 16, 5: 16}.get(version, 8 if version < 4 else 24)
    ruleset = LIBC.syscall(CREATE_RULESET, ctypes.byref(asked), ctypes.c_size_t(size), 0)
    given = dict.fromkeys(readable, READ_FILE | LIST_FOLDER) | standard_library()
    for path, rights in (given | dict.fromkeys(shared_libraries(), READ_FILE)).items():
        try:
            place = os.open(path, os.O_PATH)
        except OSError:
            continue  # a link to nowhere
        rights &= LIST_FOLDER | READ_FILE if os.path.isdir(path) else READ_FILE
        LIBC.syscall(ADD_RULE, ruleset, 1, ctypes.byref(PathRule(rights, place)), 0)
        os.close(place)
    return ruleset


def standard_library():
    """{path: rights}: its folders may be listed, and all in them read but installed packages, which often are there."""
    folders = set(filter(Path.is_dir, (Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))))
    inside = [path for folder in folders for path in folder.iterdir() if not path.name.endswith("-packages")]
    return dict.fromkeys(folders, LIST_FOLDER) | dict.fromkeys(inside, READ_FILE | LIST_FOLDER)


def shared_libraries():
    """The libraries beside those that are loaded, which modules still to be imported may need; file by file.

    Not their folders: where there is one folder for all libraries, installed packages are in it too.
    """
    maps = Path("/proc", "self", "maps").read_text(encoding="utf-8", errors="surrogateescape")
    folders = {os.path.dirname(path) for path in re.findall(r" (/\S*\.so[.\d]*)$", maps, re.MULTILINE)}
    files = [Path(folder) / name for folder in folders for name in os.listdir(folder) if re.search(r"\.so(\.|$)", name)]
    return [*files, Path("/etc") / "ld.so.cache"]


# The steps.


def go_first():
    """If the machine's memory runs out, this process is the one to go."""
    try:
        Path("/proc", "self", "oom_score_adj").write_text("1000")
    except OSError:
        return  # then the limits have to do


def leave(uid):
    """Leave what is shared, and this user; returns the flags of the namespaces that are this process's own.

    Root goes before a user namespace is tried: root of the system would stay root below a namespace's mask.
    """
    own = {flag for flag in (NEW_NET, NEW_IPC, NEW_PID) if LIBC.unshare(flag) == 0}
    if 0 in os.getresuid():
        become(uid)
    missing = {NEW_NET, NEW_IPC, NEW_PID} - own
    if missing and 0 not in os.getresuid() and LIBC.unshare(NEW_USER | sum(missing)) == 0:
        own |= missing
    drop_capabilities()
    LIBC.syscall(KEYCTL.get(os.uname().machine, -1), NEW_SESSION_KEYRING, None)  # the grader's keys stay behind
    die_with_parent()
    return own


def become(uid):
    """Take the id of no one. Where that fails, the proof will say so."""
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        for capability in range(LAST_CAPABILITY + 1):
            LIBC.prctl(DROP_FROM_BOUND, capability, 0, 0, 0)
        LIBC.prctl(KEEP_CAPABILITIES, 0, 0, 0, 0)
        os.setresuid(uid, uid, uid)
    except OSError:
        return


def drop_capabilities():
    """All sets empty; programs started later cannot bring any back."""
    for capability in range(LAST_CAPABILITY + 1):
        LIBC.prctl(DROP_FROM_BOUND, capability, 0, 0, 0)
    LIBC.prctl(AMBIENT, CLEAR_AMBIENT, 0, 0, 0)
    LIBC.capset((ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0), (ctypes.c_uint32 * 6)())
    LIBC.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def die_with_parent():
    """A change of user forgets it, so it comes after; each process asks for itself."""
    LIBC.prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)


def set_limits(memory, seconds):
    """Bytes beyond what Python and NumPy take, shared or not; seconds of the processor; nothing that is kept."""
    pages = int(Path("/proc", "self", "statm").read_text().split()[0])
    for name, value in (("AS", pages * os.sysconf("SC_PAGE_SIZE") + memory), ("DATA", memory), ("CPU", seconds),
                        ("FSIZE", 0), ("CORE", 0), ("NPROC", 0), ("NOFILE", 64), ("MSGQUEUE", 0), ("MEMLOCK", 0),
                        ("SIGPENDING", 0)):
        try:
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}", LINUX_LIMITS.get(name)), (value, value))
        except (ValueError, OSError):
            continue  # a lower one holds already


LINUX_LIMITS = {"MSGQUEUE": 12, "SIGPENDING": 11}


def obey(ruleset):
    """See only what the rules let be read."""
    if ruleset >= 0:
        LIBC.syscall(RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)


def ask_little():
    """The last step: what is not on the list of seccomp.py is refused from here."""
    seccomp.install()


def reach(handles):
    """Where Python lies in a folder that this user may not enter: enter by the descriptors that were opened before.

    handles: {path: descriptor}. A path below one of them is replaced wherever modules are looked up.
    """
    closed = {path: os.path.join("/proc", "self", "fd", str(handle)) for path, handle in handles.items()
              if not os.access(path, os.R_OK | os.X_OK)}
    if not closed:
        return
    packages = [module.__path__ for module in list(sys.modules.values())
                if isinstance(getattr(module, "__path__", None), list)]
    for places in (sys.path, *packages):
        for old, new in closed.items():
            places[:] = [new + place[len(old):] if place == old or place.startswith(old + os.sep) else place
                         for place in places]
    sys.path_importer_cache.clear()


# Afterwards.


def remove_traces(uid, folders):
    """Remove all that the kernel keeps for this user, which is the caller's: objects of System V, keys, files."""
    for kind, column, remove in (("shm", "shmid", lambda number: LIBC.shmctl(number, 0, None)),
                                 ("sem", "semid", lambda number: LIBC.semctl(number, 0, 0, None)),
                                 ("msg", "msqid", lambda number: LIBC.msgctl(number, 0, None))):
        table = Path("/proc", "sysvipc", kind)
        head, *rows = [line.split() for line in table.read_text().splitlines()] if table.exists() else [[]]
        for row in rows:
            if str(uid) in (row[head.index("uid")], row[head.index("cuid")]):
                remove(int(row[head.index(column)]))
    LIBC.syscall(KEYCTL.get(os.uname().machine, -1), CLEAR_KEYRING, USER_KEYRING)
    for top in folders:
        for folder, inner, names in os.walk(top, topdown=False):
            for name in (*names, *inner):
                _remove_own(os.path.join(folder, name), uid)


def _remove_own(path, uid):
    try:
        if os.lstat(path).st_uid == uid:
            (os.rmdir if os.path.isdir(path) and not os.path.islink(path) else os.unlink)(path)
    except OSError:
        return  # another's, or gone
