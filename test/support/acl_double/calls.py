"""The state of the double, and the path of every call through it."""

import functools
import itertools
import threading
import types
from collections import Counter

from acl_double.contract import (
    ALWAYS,
    BAD_HANDLE,
    BAD_VALUE,
    CODE,
    FUNCTIONS,
    IN_CONTEXT,
    NO_CONTEXT,
    NOT_INITIALISED,
    OTHER_CONTEXT,
    RELEASES,
    TIMED_OUT,
    RefusedError,
)
from acl_double.handles import Stream


class Calls:
    """Checks every call and passes it on to the method of the function's name.

    A function `mdl.unload` is the method `_mdl_unload`. It returns the value of the function; it
    raises `RefusedError` where the function fails as pyACL says, and calls `_violate` where the
    caller breaks the contract.
    """

    def __init__(self, timeout_call, initialised):
        self.calls, self.violations = [], []
        self._faults = {}  # codes by the number of the call
        self._named_faults = []  # [function, number of calls from now on, code]
        self._initialised, self._finalised = initialised, False
        self._lock = threading.RLock()
        self._thread = threading.local()
        self._numbers = itertools.count(1)
        self._devices = Counter()
        # A handle is never used again, so that a call with a released one is detected.
        self._handles = {}
        self._message = None
        self.module = types.ModuleType('acl')
        self.module.rt, self.module.mdl = types.SimpleNamespace(), types.SimpleNamespace()
        for name in FUNCTIONS:
            if name != 'rt.synchronize_stream_with_timeout' or timeout_call:
                place, _, last = name.rpartition('.')
                target = getattr(self.module, place) if place else self.module
                setattr(target, last, functools.partial(self._call, name))

    def _call(self, name, *arguments):
        pattern, failure = FUNCTIONS[name]
        with self._lock:
            number = len(self.calls)
            self.calls.append(name)
            self._check_arguments(name, pattern, arguments)
            code = self._faults.pop(number, 0) or self._named_fault(name)
            value = None
            try:
                if name not in ALWAYS and not self._initialised:
                    self._violate(f'{name} before init', NOT_INITIALISED)
                if name in IN_CONTEXT:
                    self._context()
                if code and name.startswith('rt.synchronize') and code != TIMED_OUT:
                    self._get(arguments[0], Stream).tasks.clear()
                if code and name not in RELEASES:
                    raise RefusedError(code)
                value = getattr(self, '_' + name.replace('.', '_'))(*arguments)
                if code:
                    raise RefusedError(code)
            except RefusedError as refused:
                code = refused.code
                self._message = f'E19999: {name}\n  returned {code}'
                if failure == CODE:
                    return code
                return (failure[0], code) if isinstance(failure, tuple) else failure
        if failure == CODE:
            return 0
        return (value, 0) if isinstance(failure, tuple) else value

    def _check_arguments(self, name, pattern, arguments):
        kinds = [{'i': int, 's': str}[letter] for letter in pattern.strip('[]')]
        fewest = 0 if '[' in pattern else len(kinds)
        right = fewest <= len(arguments) <= len(kinds) and all(
            type(argument) is kind and (kind is str or argument >= 0)
            for argument, kind in zip(arguments, kinds)
        )
        if not right:
            self.violations.append(f'acl.{name} args parse failed: {arguments!r:.200}')
            raise TypeError(self.violations[-1])

    def _named_fault(self, name):
        """The code that this call of a function must fail with, or 0."""
        due = 0
        for fault in self._named_faults:
            if fault[0] == name:
                fault[1] -= 1
                due = due or (fault[2] if fault[1] == 0 else 0)
        return due

    def _violate(self, sentence, code):
        self.violations.append(f'{sentence} (thread {threading.current_thread().name})')
        raise RefusedError(code)

    # Handles

    @property
    def ledger(self):
        """The number of things of each kind that are not released."""
        held = Counter(type(thing).__name__ for thing in self._handles.values())
        return dict(held + Counter(Device=self._devices.total()))

    def _new(self, thing, handle=None):
        handle = handle or 0xA000 + 16 * next(self._numbers)
        self._handles[handle] = thing
        return handle

    def _get(self, handle, kind):
        thing = self._handles.get(handle)
        if not isinstance(thing, kind):
            self._violate(f'{handle:#x} is not a {kind.__name__}, or was released', BAD_HANDLE)
        return thing

    def _end(self, handle, kind):
        thing = self._get(handle, kind)
        del self._handles[handle]
        return thing

    def _all(self, kind):
        return [thing for thing in self._handles.values() if isinstance(thing, kind)]

    # Contexts and running tasks

    def _context(self):
        """The handle of the calling thread's context."""
        handle = getattr(self._thread, 'context', 0)
        if handle not in self._handles:
            self._violate('a call without a context in this thread', NO_CONTEXT)
        return handle

    def _check_context(self, handle, what):
        if handle != self._context():
            self._violate(f'{what} belongs to another context', OTHER_CONTEXT)

    def _tasks(self):
        return [task for stream in self._all(Stream) for task in stream.tasks]

    def _check_unused(self, buffers, what):
        for task in self._tasks():
            for busy in (*task.inputs, *task.outputs):
                if any(busy is buffer for buffer in buffers):
                    self._violate(f'{what} while the device works with it', BAD_VALUE)
