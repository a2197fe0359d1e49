"""Is the jail one? Tried from inside, after the lock and before a student's code: whatever succeeds is a hole.

    user       root's identity and every capability are out of reach
    files      the reference cannot be read, nothing can be made or changed, no process's environment read
    processes  no new process, no thread
    network    no way out, and no socket of another program
    signals    the grader cannot be signalled
    traces     nothing stays behind in the kernel: shared memory, semaphores, message queues, keys
    memory     the limit holds for shared memory too
"""

import _thread
import ctypes
import mmap
import os

LIBC = ctypes.CDLL(None, use_errno=True)
CAPABILITIES_V3 = 0x20080522
CREATE, EXCLUSIVE, REMOVE = 0o1000, 0o2000, 0          # of System V objects
NUMBERS = {"x86_64": (240, 241, 248, 250), "aarch64": (180, 181, 217, 219)}  # mq_open, mq_unlink, add_key, keyctl
USER_KEYRING, UNLINK_KEY = -4, 9
UNIX, INTERNET, STREAM, DATAGRAM = 1, 2, 1, 2
NOWHERE = bytes([2, 0, 0, 9, 192, 0, 2, 1]) + bytes(8)  # sockaddr_in of an address that is nobody's, port 9


def user():
    """None, or what is left of the user that was given up. Tried before seccomp, which would hide the answer."""
    sets = (ctypes.c_uint32 * 6)()
    LIBC.capget((ctypes.c_uint32 * 2)(CAPABILITIES_V3, 0), sets)
    if any(sets):
        return f"capabilities are left: {' '.join(f'{word:x}' for word in sets)}"
    for name, change in (("user", os.setresuid), ("group", os.setresgid)):
        try:
            change(0, 0, 0)
        except OSError:
            continue
        return f"the process can take root's {name} id"
    return "the process is root's" if 0 in os.getresuid() else None


def files(reference, grader, folders):
    """None, or what can be read or changed.

    reference: a file; grader: process ids whose environment may be secret; folders: where files might be made.
    """
    try:
        listed = [name for name in os.listdir("/proc") if name.isdigit() and int(name) != own_number()]
    except OSError:
        listed = []
    environments = [os.path.join("/proc", str(number), "environ") for number in (*grader, *listed)]
    secrets = dict.fromkeys(environments, "another process's environment")
    for path, what in [(reference, "the reference"), *secrets.items()]:
        try:
            with open(path, "rb") as file:
                if file.read(1):
                    return f"{what} can be read"
        except OSError:
            continue
    return next((f"{what} can be changed" for what, change in _changes(folders) if _succeeds(change)), None)


def _changes(folders):
    """(what, a function that changes it and takes the change back)."""
    for folder in folders:
        what = f"the folder {folder}"
        name = os.path.join(folder, f"made_{os.getpid()}_{os.getuid()}")
        yield f"{what} (a file)", lambda name=name: (os.close(os.open(name, os.O_CREAT | os.O_WRONLY)), os.unlink(name))
        yield f"{what} (a folder)", lambda name=name: (os.mkdir(name), os.rmdir(name))
        yield f"{what} (a link)", lambda name=name: (os.symlink("x", name), os.unlink(name))
    yield "a mode", lambda: os.chmod(".", 0o755)
    yield "a time", lambda: os.utime(".")


def own_number():
    """This process's id as /proc has it, also from inside a PID namespace; 0 without /proc."""
    try:
        return int(os.readlink(os.path.join("/proc", "self")))
    except OSError:
        return 0


def processes():
    """None, or what can be started."""
    def start_process():
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)

    if _succeeds(start_process):
        return "a new process can be started"
    return "a thread can be started" if _succeeds(lambda: _thread.start_new_thread(int, ())) else None


def network(same_user):
    """None, or what can be reached; sockets in files only matter to a process that still is the grader's user."""
    handle = LIBC.socket(INTERNET, DATAGRAM, 0)
    if handle >= 0:
        reached = LIBC.connect(handle, NOWHERE, len(NOWHERE)) == 0
        os.close(handle)
        if reached:
            return "there is a way into the network"
    handle = LIBC.socket(UNIX, STREAM, 0)
    if handle >= 0:
        os.close(handle)
        return "sockets of other programs are in reach" if same_user else None
    return None


def signals(grader, own_namespace):
    """None, or why other processes are not safe; in a PID namespace of its own a process has no name for others."""
    if own_namespace or not _succeeds(lambda: os.kill(grader[0], 0)):
        return None
    return "the grader can be signalled, and so ended"


def traces(own_namespace, same_user):
    """None, or what can be left in the kernel. Objects in an IPC namespace of its own go with the process."""
    removals = {"shmget": ("shmctl", (4096,)), "semget": ("semctl", (1,)), "msgget": ("msgctl", ())}
    for make, (control, size) in ({} if own_namespace else removals).items():
        number = getattr(LIBC, make)(0, *size, CREATE | 0o600)
        if number >= 0:
            getattr(LIBC, control)(number, *([0] if make == "semget" else []), REMOVE, None)
            return f"System V objects can be made ({make})"
    mq_open, mq_unlink, add_key, keyctl = NUMBERS.get(os.uname().machine, (-1,) * 4)
    name = f"minishatter_{os.getpid()}".encode()
    if not own_namespace and LIBC.syscall(mq_open, name, os.O_CREAT | os.O_RDWR, 0o600, None) >= 0:
        LIBC.syscall(mq_unlink, name)
        return "message queues can be made"
    if same_user:  # keys of a user that was made up are cleared away
        key = LIBC.syscall(add_key, b"user", name, b"x", ctypes.c_size_t(1), USER_KEYRING)
        if key >= 0:
            LIBC.syscall(keyctl, UNLINK_KEY, key, USER_KEYRING)
            return "keys can be stored"
    return None


def memory(limit):
    """None, or which memory is not limited; nothing is touched."""
    for kind, flags in (("shared", mmap.MAP_SHARED), ("private", mmap.MAP_PRIVATE)):
        if _succeeds(lambda flags=flags: mmap.mmap(-1, limit + 2**20, flags | mmap.MAP_ANONYMOUS).close()):
            return f"{kind} memory has no limit"
    return None


def _succeeds(action):
    try:
        action()
    except (OSError, RuntimeError, MemoryError):
        return False
    return True
