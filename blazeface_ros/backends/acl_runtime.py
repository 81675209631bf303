"""Calls pyACL, Huawei's Python module `acl`: errors become exceptions, and resources are released.

A function of pyACL returns a code, or a value and a code, or a value only.
"""

from __future__ import annotations

import atexit
import importlib
import operator
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from blazeface_ros.errors import BackendError

ALREADY_INITIALISED = 100002

_CONVERT_AGAIN = (
    'convert the model again with --soc_version for this chip ({chip}), with a CANN that is not '
    "newer than this machine's"
)
_REPORT_DEVICE = 'look at `npu-smi info` and the device log, and reset the device or the machine'

#: Return codes: (name in CANN's headers, meaning, remedy). The codes come from acl_base.h,
#: rt_error_codes.h and ge_error_codes.h.
CODES = {
    100000: ('ACL_ERROR_INVALID_PARAM', 'invalid parameter', ''),
    100001: ('ACL_ERROR_UNINITIALIZE', 'pyACL is not initialised', ''),
    107001: (
        'ACL_ERROR_RT_INVALID_DEVICEID',
        'no such device, or no driver',
        'look at `npu-smi info`; check that the driver is loaded, that the device number is right '
        'and that this user may open the device',
    ),
    107002: (
        'ACL_ERROR_RT_CONTEXT_NULL',
        'no context in this thread',
        'other code reset the device or destroyed the context; open the detector again',
    ),
    107003: ('ACL_ERROR_RT_STREAM_CONTEXT', 'the stream belongs to another context', ''),
    107017: ('ACL_ERROR_RT_INVALID_HANDLE', 'invalid handle', ''),
    145000: (
        'ACL_ERROR_GE_PARAM_INVALID',
        'invalid parameter; at loading: not an .om file, or a damaged one',
        f'copy the file again, or {_CONVERT_AGAIN}',
    ),
    145002: (
        'ACL_ERROR_GE_EXEC_MODEL_PATH_INVALID',
        'invalid model path',
        'check that the file exists (ATC may have named it *_linux_aarch64.om) and that this user '
        'may read it',
    ),
    145003: ('ACL_ERROR_GE_EXEC_MODEL_ID_INVALID', 'invalid model id', ''),
    145006: (
        'ACL_ERROR_GE_EXEC_MODEL_DATA_SIZE_INVALID',
        'invalid size of the model',
        'copy the file again',
    ),
    207001: (
        'ACL_ERROR_RT_MEMORY_ALLOCATION',
        'out of memory',
        'end other programs that use the device (`npu-smi info` lists them)',
    ),
    500002: (
        'ACL_ERROR_GE_FAILURE',
        "failure of CANN's graph engine; at loading this is mostly a model for another chip",
        _CONVERT_AGAIN,
    ),
    507011: ('ACL_ERROR_RT_MODEL_EXECUTE', 'the model failed on the device', _REPORT_DEVICE),
    507899: ('ACL_ERROR_RT_DRV_INTERNAL_ERROR', 'error of the driver', _REPORT_DEVICE),
    545001: ('ACL_ERROR_GE_LOAD_MODEL', 'the model could not be loaded', _CONVERT_AGAIN),
    545601: (
        'ACL_ERROR_GE_MODEL_EXECUTE_TIMEOUT',
        'the model did not finish in time',
        _REPORT_DEVICE,
    ),
}
UNKNOWN_CODE = ('unknown code', "see aclError in CANN's manual", '')


class AclError(BackendError):
    """A function of pyACL failed.

    Attributes:
        function: the name of the function, such as 'acl.rt.malloc'.
        code: the code it returned; None if it returns no code.
    """

    def __init__(self, function: str, code: int | None) -> None:
        self.function = f'acl.{function}'
        self.code = code
        text = f'{self.function} returned nothing'
        if code is not None:
            name, meaning, remedy = CODES.get(code, UNKNOWN_CODE)
            text = f'{self.function} failed with {code} ({name}: {meaning})'
            if remedy:
                chip = query('get_soc_name') or 'see npu-smi info'
                text += f': {remedy.format(chip=chip)}'
        if details := query('get_recent_err_msg'):
            text += f' [{" ".join(details.split())}]'
        super().__init__(text)


def need_acl() -> None:
    """Check that pyACL can be imported.

    Raises:
        BackendError: if it is not installed.
    """
    try:
        importlib.import_module('acl')
    except ImportError as error:
        raise BackendError(
            "backend 'ascend' needs the Python module acl of Huawei's CANN toolkit "
            f'({error}): source its set_env.sh in this shell, or install the toolkit'
        ) from error


def _function(name: str) -> Any:
    return operator.attrgetter(name)(importlib.import_module('acl'))


def has(function: str) -> bool:
    """Whether the installed CANN has a function, such as 'rt.malloc'."""
    try:
        return callable(_function(function))
    except AttributeError:
        return False


def query(function: str) -> str:
    """Call a function that returns a text.

    Returns:
        The text; '' where the function returns None or CANN does not have it.
    """
    return (has(function) and _function(function)()) or ''


def call(function: str, *arguments: Any) -> Any:
    """Call a function that returns a code, or a value and a code.

    Args:
        function: the name of the function, such as 'rt.malloc'.
        arguments: its arguments. pyACL takes pointers and sizes as int and paths as str.

    Returns:
        The value; None where the function returns only a code.

    Raises:
        AclError: if the code is not 0.
    """
    result = _function(function)(*arguments)
    value, code = result if isinstance(result, tuple) else (None, result)
    if code:
        raise AclError(function, code)
    return value


def number_of(function: str, *arguments: Any, at_least: int = 1) -> int:
    """Call a function that returns only a number: a pointer, a size, a count or an enumerator.

    Args:
        function: the name of the function, such as 'mdl.create_desc'.
        arguments: its arguments.
        at_least: the smallest valid number. A pointer or a size of 0 means that the call failed.

    Raises:
        AclError: if the number is smaller.
    """
    value: int | None = _function(function)(*arguments)
    if value is None or value < at_least:
        raise AclError(function, None)
    return value


class Resources:
    """The resources taken from a device, with the calls that release them."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], object]] = []

    def __bool__(self) -> bool:
        return bool(self._steps)

    def add(self, handle: Any, release: str) -> Any:
        """Add a resource.

        Args:
            handle: the handle of the resource.
            release: the name of the function that releases it, such as 'rt.free'.

        Returns:
            The handle.
        """
        self.before_release(partial(call, release, handle))
        return handle

    def before_release(self, step: Callable[[], object]) -> None:
        """Add a step that `release` takes before it releases the resources added so far."""
        self._steps.append(step)

    def release(self) -> None:
        """Release all resources, the last one first.

        Raises:
            AclError: the first error, after the release of every resource was tried.
        """
        errors = []
        while self._steps:
            try:
                self._steps.pop()()
            except AclError as error:
                errors.append(error)
        if errors:
            raise errors[0]


class _Closable(Protocol):
    def close(self) -> None: ...


class Runtime:
    """The state of pyACL in this process: initialised at first use, finalised at exit.

    All backends share one initialisation, because not every release of CANN can be initialised
    again after it was finalised. A device is released with the last backend on it, which does not
    need finalize. Finalising is left to `atexit`, as a destructor may run when parts of Python no
    longer work. Where other code in the process initialised pyACL, that code has to finalise it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process: int | None = None
        self._initialised_here = False
        self._users: list[_Closable] = []

    def enter(self, user: _Closable) -> None:
        """Initialise pyACL if it is not, and register a user that is closed at exit.

        Raises:
            BackendError: if pyACL is not installed, or this process is a fork of one that uses it.
            AclError: if it cannot be initialised.
        """
        with self._lock:
            need_acl()
            if self._process is None:
                self._initialise()
            self.check_process()
            self._users.append(user)

    def _initialise(self) -> None:
        try:
            call('init')
            self._initialised_here = True
        except AclError as error:
            if error.code != ALREADY_INITIALISED:
                raise
        self._process = os.getpid()
        atexit.register(self.close)

    def check_process(self) -> None:
        """Check that this is not a fork, which pyACL does not support.

        Raises:
            BackendError: if another process initialised pyACL.
        """
        if self._process != os.getpid():
            raise BackendError(
                f'process {os.getpid()} is a fork of {self._process}, which opened the Ascend '
                'device, and pyACL works in that process only: open the detector after the fork, '
                "or start the process with multiprocessing's method 'spawn'"
            )

    def leave(self, user: _Closable) -> None:
        """Remove a user that is closed."""
        with self._lock:
            if user in self._users:
                self._users.remove(user)

    def close(self) -> None:
        """Close the users that are still open and finalise pyACL. May be called twice."""
        with self._lock:
            if self._process != os.getpid():
                return
            atexit.unregister(self.close)
            closings = [user.close for user in reversed(self._users)]
            if self._initialised_here:
                closings.append(lambda: call('finalize'))
            for close in closings:
                # At exit no caller can handle an error, and the others must still be closed.
                try:
                    close()
                except AclError as error:
                    print(f'blazeface_ros: at exit, {error}', file=sys.stderr)
            self._process, self._initialised_here = None, False


#: The runtime of this process.
runtime = Runtime()
