"""pyACL (Huawei's Python module `acl`) with errors as exceptions, and its state in this process.

Its functions come in three kinds: some return a code, some a value and a code, some a value only.
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

#: What the return codes mean and what to do: (name in CANN's headers, meaning, remedy). The codes
#: are acl_base.h's, rt_error_codes.h's and ge_error_codes.h's.
CODES = {
    100000: ('ACL_ERROR_INVALID_PARAM', 'invalid parameter', ''),
    100001: ('ACL_ERROR_UNINITIALIZE', 'pyACL is not initialised', ''),
    107001: (
        'ACL_ERROR_RT_INVALID_DEVICEID',
        'no such device, or no driver',
        'look at `npu-smi info`; is the driver loaded, the device number right, and may this user '
        'open the device?',
    ),
    107002: (
        'ACL_ERROR_RT_CONTEXT_NULL',
        'no context in this thread',
        'something reset the device or destroyed the context; open the detector again',
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
        'is the file there (ATC may have named it *_linux_aarch64.om), and may it be read?',
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
        "failure of CANN's graph engine; at loading mostly a model for another chip",
        _CONVERT_AGAIN,
    ),
    507011: ('ACL_ERROR_RT_MODEL_EXECUTE', 'the model failed on the device', _REPORT_DEVICE),
    507899: ('ACL_ERROR_RT_DRV_INTERNAL_ERROR', 'error of the driver', _REPORT_DEVICE),
    545001: ('ACL_ERROR_GE_LOAD_MODEL', 'the model could not be loaded', _CONVERT_AGAIN),
    545601: (
        'ACL_ERROR_GE_MODEL_EXECUTE_TIMEOUT',
        'the model did not end in time',
        _REPORT_DEVICE,
    ),
}
UNKNOWN_CODE = ('unknown code', "see aclError in CANN's manual", '')


class AclError(BackendError):
    """A function of pyACL failed.

    Attributes:
        function: its name, as in 'acl.rt.malloc'.
        code: that it returned; None if it returns none, but gave nothing.
    """

    def __init__(self, function: str, code: int | None) -> None:
        self.function = f'acl.{function}'
        self.code = code
        sentences = f'{self.function} returned nothing'
        if code is not None:
            name, meaning, remedy = CODES.get(code, UNKNOWN_CODE)
            sentences = f'{self.function} failed with {code} ({name}: {meaning})'
            if remedy:
                sentences += f': {remedy.format(chip=tell("get_soc_name") or "see npu-smi info")}'
        if details := tell('get_recent_err_msg'):
            sentences += f' [{" ".join(details.split())}]'
        super().__init__(sentences)


def need_acl() -> None:
    """Import pyACL, and nothing more.

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
    """Whether the installed CANN has a function, as in 'rt.malloc'."""
    try:
        return callable(_function(function))
    except AttributeError:
        return False


def tell(function: str) -> str:
    """Call a function that returns a text, or nothing; '' then, and where CANN lacks it."""
    return (has(function) and _function(function)()) or ''


def call(function: str, *arguments: Any) -> Any:
    """Call a function that returns a code, or a value and a code.

    Args:
        function: as in 'rt.malloc'.
        arguments: of it; pyACL takes pointers and sizes as int and paths as str, nothing else.

    Returns:
        The value, or None.

    Raises:
        AclError: if the code is not 0.
    """
    result = _function(function)(*arguments)
    value, code = result if isinstance(result, tuple) else (None, result)
    if code:
        raise AclError(function, code)
    return value


def ask(function: str, *arguments: Any, at_least: int = 1) -> int:
    """Call a function that returns a number only: a pointer, a size, a count, an enumerator.

    Raises:
        AclError: if it is less than it can be: pointers and sizes are not 0.
    """
    value: int | None = _function(function)(*arguments)
    if value is None or value < at_least:
        raise AclError(function, None)
    return value


class Held:
    """What was taken from the device and has to be given back."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], object]] = []

    def __bool__(self) -> bool:
        return bool(self._steps)

    def take(self, handle: Any, give_back: str) -> Any:
        """Note that this function takes this handle back. Returns the handle."""
        self.before_release(partial(call, give_back, handle))
        return handle

    def before_release(self, step: Callable[[], object]) -> None:
        """Do this before what was taken so far is given back."""
        self._steps.append(step)

    def release(self) -> None:
        """Give all back, last first.

        Raises:
            AclError: the first, after all was tried.
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
    """pyACL in this process: initialised when first used, finalised at exit.

    Initialised once and for all backends, because CANN releases differ in whether they bear it a
    second time after finalize. A device is handed back with the last backend on it; that does not
    need finalize. Done by `atexit`, when all of Python still works, and not in a destructor. Where
    other code in the process initialised pyACL, finalize is left to it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process: int | None = None
        self._initialised_here = False
        self._users: list[_Closable] = []

    def enter(self, user: _Closable) -> None:
        """Initialise pyACL if need be, and close this user at exit, if not before.

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
        """Refuse to go on in a fork, which pyACL does not support.

        Raises:
            BackendError: if this is not the process that initialised it.
        """
        if self._process != os.getpid():
            raise BackendError(
                f'process {os.getpid()} is a fork of {self._process}, which opened the Ascend '
                'device: pyACL works in one of them only; open the detector after the fork, or '
                "start the process with multiprocessing's method 'spawn'"
            )

    def leave(self, user: _Closable) -> None:
        """Forget a user that is closed."""
        with self._lock:
            if user in self._users:
                self._users.remove(user)

    def close(self) -> None:
        """Close what is still open and finalise; may be called twice."""
        with self._lock:
            if self._process != os.getpid():
                return
            atexit.unregister(self.close)
            closings = [user.close for user in reversed(self._users)]
            if self._initialised_here:
                closings.append(lambda: call('finalize'))
            for close in closings:
                # At exit nobody is left to catch it, and the rest must still be closed.
                try:
                    close()
                except AclError as error:
                    print(f'blazeface_ros: at exit, {error}', file=sys.stderr)
            self._process, self._initialised_here = None, False


#: The one of this process.
runtime = Runtime()
