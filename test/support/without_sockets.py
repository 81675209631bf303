"""A program: runs another program in which the kernel kills every attempt to open a socket.

Whoever sends anything or looks up a name needs a socket. The process ends with the signal SIGSYS.
The filter needs no privileges, holds for all threads and children, and cannot be taken off.

Usage: without_sockets.py PROGRAM ARGUMENT…
"""

import ctypes
import os
import platform
import resource
import struct
import sys

#: Of <linux/audit.h>, and the numbers of the system calls socket and io_uring_setup. The latter
#: would be a way to open sockets without the former.
MACHINES = {'x86_64': (0xC000003E, 41, 425), 'aarch64': (0xC00000B7, 198, 425)}
#: Of <linux/prctl.h> and <linux/seccomp.h>.
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
KILL_PROCESS, ALLOW = 0x80000000, 0x7FFF0000
#: Where the number of the system call and the architecture are in `struct seccomp_data`.
NUMBER_OFFSET, ARCHITECTURE_OFFSET = 0, 4
#: Codes of <linux/filter.h>: load a word, compare it with a constant, end with a verdict.
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06


class _Program(ctypes.Structure):
    """`struct sock_fprog` of <linux/filter.h>."""

    _fields_ = (('length', ctypes.c_ushort), ('instructions', ctypes.c_char_p))


def forbid_sockets():
    """Install the filter for this process and all that it starts."""
    architecture, *forbidden = MACHINES[platform.machine()]
    instructions = [
        # code, how many instructions to skip if equal, and if not, and the constant
        (LOAD, 0, 0, ARCHITECTURE_OFFSET),
        # Another architecture, such as 32 bit, has other numbers.
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER_OFFSET),
    ]
    for number in forbidden:
        instructions += [(EQUAL, 0, 1, number), (RETURN, 0, 0, KILL_PROCESS)]
    instructions.append((RETURN, 0, 0, ALLOW))
    code = b''.join(struct.pack('HBBI', *instruction) for instruction in instructions)
    program = _Program(len(instructions), code)
    _prctl(PR_SET_NO_NEW_PRIVS, 1, None)
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program))


def _prctl(option, value, pointer):
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong
    if prctl(option, value, pointer, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f'prctl({option}) failed')


if __name__ == '__main__':
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a process that is killed leaves no file
    forbid_sockets()
    os.execvp(sys.argv[1], sys.argv[1:])
