"""Become what a process is in a container, then run a command: Docker's capabilities, and what its filter refuses.

    python container.py COMMAND ...            root with Docker's default capabilities
    python container.py --user 1234 COMMAND    an ordinary user, none
    python container.py --refuse NAME ...      refuse one more system call: landlock (as before Linux 5.13), seccomp
"""

import argparse
import ctypes
import os
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "minishatter" / "coursework"))

import seccomp  # noqa: E402

DOCKER = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}  # chown ... setfcap: 0xa80425fb
COLUMN, MACHINE = seccomp.MACHINES.get(platform.machine(), (0, 0))
# unshare, mount, umount2, setns, pivot_root, keyctl, add_key, request_key, ptrace, bpf, perf_event_open, userfaultfd
REFUSED = [(272, 97), (165, 40), (166, 39), (308, 268), (155, 41), (250, 219), (248, 217), (249, 218), (101, 117),
           (321, 280), (298, 241), (323, 282)]
CLONE, CLONE3, LANDLOCK, PRCTL, SECCOMP = (56, 220), (435, 435), (444, 444), (157, 167), (317, 277)
NEW_NAMESPACES = 0x7E020000
libc = ctypes.CDLL(None, use_errno=True)


def refuse(number, error=seccomp.EPERM):
    """Instructions for one call."""
    return [(seccomp.EQUAL, 0, 1, number), (seccomp.RETURN, 0, 0, seccomp.ERROR | error)]


def refuse_if(number, argument, test, value, error=seccomp.EPERM):
    """The same, if an argument has any of these bits, or is this value."""
    return [(seccomp.EQUAL, 0, 4, number), (seccomp.LOAD, 0, 0, seccomp.ARGUMENTS + 8 * argument),
            (test, 0, 1, value), (seccomp.RETURN, 0, 0, seccomp.ERROR | error), (seccomp.RETURN, 0, 0, seccomp.ALLOW)]


def program(more):
    """Docker's filter in short, and more."""
    lines = [(seccomp.LOAD, 0, 0, seccomp.NUMBER)]
    for numbers in REFUSED:
        lines += refuse(numbers[COLUMN])
    lines += refuse(CLONE3[COLUMN], seccomp.ENOSYS)
    lines += refuse_if(CLONE[COLUMN], 0, seccomp.ANY_BIT, NEW_NAMESPACES)
    if "landlock" in more:
        lines += refuse(LANDLOCK[COLUMN], seccomp.ENOSYS)
    if "seccomp" in more:
        lines += refuse(SECCOMP[COLUMN], seccomp.ENOSYS)
        lines += refuse_if(PRCTL[COLUMN], 0, seccomp.EQUAL, seccomp.SET_SECCOMP, 22)
    return [*lines, (seccomp.RETURN, 0, 0, seccomp.ALLOW)]


def main():
    """Give up, then become the command."""
    options = argparse.ArgumentParser()
    options.add_argument("--user", type=int)
    options.add_argument("--refuse", action="append", default=[], choices=["landlock", "seccomp"])
    options.add_argument("--open", action="store_true", help="no filter: namespaces of a user can be had")
    options.add_argument("command", nargs=argparse.REMAINDER)
    given = options.parse_args()
    for capability in range(64):
        if capability not in DOCKER or given.user:
            libc.prctl(24, capability, 0, 0, 0)
    if not given.open:
        # without no_new_privs, which would hide that root keeps its capabilities through exec: root may
        array = (seccomp.Instruction * len(program(given.refuse)))(*(seccomp.Instruction(*line)
                                                                     for line in program(given.refuse)))
        if libc.prctl(seccomp.SET_SECCOMP, seccomp.FILTER,
                      ctypes.byref(seccomp.Program(len(array), array)), 0, 0):
            sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    if given.user:
        os.setgroups([])
        os.setresgid(given.user, given.user, given.user)
        os.setresuid(given.user, given.user, given.user)
    os.execv(given.command[0], given.command)


if __name__ == "__main__":
    main()
