"""A list of what a student's code may ask of the kernel; it refuses all else, whoever asks. Linux, no root needed.

The list has what Python and NumPy need to compute, to read files and to write to a
descriptor that is open. What could outlive the process or be seen by another is not
on it: new processes, files that are made or changed (their modes, times and locks
too), sockets, shared memory, message queues, keys, signals to others.

The filter is a program for the kernel's classic Berkeley packet filter: it loads
words of the call's description (its number, the machine, six arguments of 64 bits)
and compares them.
"""

import ctypes
import os
import platform

# The numbers of x86_64 and of aarch64; None where a machine has no such call.
PLAIN = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "lseek": (8, 62), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "stat": (4, None), "fstat": (5, 80), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None),
    "readlinkat": (267, 78), "getcwd": (79, 17), "getdents64": (217, 61), "close_range": (436, 436),
    "munmap": (11, 215), "mremap": (25, 216), "mprotect": (10, 226), "madvise": (28, 233), "brk": (12, 214),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "futex": (202, 98),
    "set_robust_list": (273, 99), "set_tid_address": (218, 96), "rseq": (334, 293), "restart_syscall": (219, 128),
    "rt_sigreturn": (15, 139), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigpending": (127, 136),
    "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132), "pause": (34, None), "exit": (60, 93),
    "exit_group": (231, 94), "nanosleep": (35, 101), "clock_nanosleep": (230, 115), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153),
    "getrusage": (98, 165), "getrlimit": (97, 163), "sysinfo": (99, 179), "uname": (63, 160), "getpid": (39, 172),
    "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176),
    "getegid": (108, 177), "getresuid": (118, 148), "getresgid": (120, 150), "getgroups": (115, 158),
    "getpgrp": (111, None), "getpgid": (121, 155), "getsid": (124, 156), "capget": (125, 90), "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123), "getcpu": (309, 168), "getrandom": (318, 278)}
OPEN, OPENAT, MMAP, FCNTL, IOCTL, KILL, TGKILL, PRLIMIT, CLONE3 = (
    (2, None), (257, 56), (9, 222), (72, 25), (16, 29), (62, 129), (234, 131), (302, 261), (435, 435))
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, the kernel's name for it
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | 0o20000000  # the last is O_TMPFILE's own bit
SHARED = 1                                    # of mmap: memory that limits do not count, and that others can have
DESCRIPTORS = (0, 1, 2, 3, 4, 1030)           # of fcntl: copies and flags of a descriptor, no lock, no lease
TERMINALS = (0x5401, 0x5451, 0x5450)          # of ioctl: is it a terminal?, close it on exec or do not
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER, MACHINE, ARGUMENTS = 0, 4, 16         # places in the description of a call; both machines are little-endian
ALLOW, ERROR = 0x7FFF0000, 0x00050000
EPERM, ENOSYS = 1, 38
OTHER_ABI = 0x40000000                        # the x86_64 kernel's third set of numbers
NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER = 38, 22, 2


class Instruction(ctypes.Structure):
    """sock_filter: an operation, how far to jump if true and if false, an operand."""

    _fields_ = [("code", ctypes.c_uint16), ("true", ctypes.c_uint8), ("false", ctypes.c_uint8), ("k", ctypes.c_uint32)]


class Program(ctypes.Structure):
    """sock_fprog."""

    _fields_ = [("length", ctypes.c_uint16), ("first", ctypes.POINTER(Instruction))]


def install():
    """Hold this process to the list, for good; returns why that cannot be had, or None."""
    if platform.machine() not in MACHINES:
        return f"no list of system calls for {platform.machine()}"
    return load(program(*MACHINES[platform.machine()], os.getpid()))


def load(lines):
    """Give the kernel a program, a list of (code, true, false, k); returns why it was refused, or None."""
    libc = ctypes.CDLL(None, use_errno=True)
    array = (Instruction * len(lines))(*(Instruction(*line) for line in lines))
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(Program(len(lines), array)), 0, 0):
        return f"seccomp refused: {os.strerror(ctypes.get_errno())}"
    return None


def program(column, machine, pid):
    """The instructions; a process may signal no one but itself, `pid`."""
    head = [(LOAD, 0, 0, MACHINE), (EQUAL, 1, 0, machine), (RETURN, 0, 0, ERROR | EPERM), (LOAD, 0, 0, NUMBER),
            (ANY_BIT, 0, 1, OTHER_ABI), (RETURN, 0, 0, ERROR | EPERM)]
    rules = [(number[column], [(RETURN, 0, 0, ALLOW)]) for number in PLAIN.values()]
    rules += [(OPEN[column], _no_bits(1, WRITES)), (OPENAT[column], _no_bits(2, WRITES)),
              (MMAP[column], _no_bits(3, SHARED)), (FCNTL[column], _one_of(1, DESCRIPTORS)),
              (IOCTL[column], _one_of(1, TERMINALS)), (KILL[column], _one_of(0, (pid,))),
              (TGKILL[column], _one_of(0, (pid,))), (PRLIMIT[column], _reads_own_limits()),
              (CLONE3[column], [(RETURN, 0, 0, ERROR | ENOSYS)])]  # so that the C library tries the older call
    body = [line for number, lines in rules if number is not None
            for line in ((EQUAL, 0, len(lines), number), *lines)]
    return [*head, *body, (RETURN, 0, 0, ERROR | EPERM)]


def _no_bits(argument, bits):
    return [(LOAD, 0, 0, ARGUMENTS + 8 * argument), (ANY_BIT, 1, 0, bits), (RETURN, 0, 0, ALLOW),
            (RETURN, 0, 0, ERROR | EPERM)]


def _one_of(argument, values):
    return [(LOAD, 0, 0, ARGUMENTS + 8 * argument),
            *((EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)),
            (RETURN, 0, 0, ERROR | EPERM), (RETURN, 0, 0, ALLOW)]


def _reads_own_limits():
    """prlimit64(0, resource, NULL, old): who is asked, and both halves of the pointer to new limits, are zero."""
    words = (ARGUMENTS, ARGUMENTS + 16, ARGUMENTS + 20)
    checks = [line for place, word in enumerate(words)
              for line in ((LOAD, 0, 0, word), (EQUAL, 0, 2 * (len(words) - place - 1) + 1, 0))]
    return [*checks, (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ERROR | EPERM)]
