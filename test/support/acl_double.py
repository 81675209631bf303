"""A stand-in for `acl`, Huawei's pyACL: a simulated contract, not hardware.

It knows what pyACL's source says of its functions (arguments, results, codes, threads, memory) and
nothing of a board. It enforces the contract more strictly than a board does: what there is
undefined or passes silently is here noted in `violations`, which tests check at the end, whoever
swallowed the error meanwhile. What stands in `ledger` at the end has leaked.

An .om file is a small JSON file here, see `write_om`. The network it names runs in ONNX Runtime.
"""

import ctypes
import functools
import itertools
import json
import os
import threading
import time
import types
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import onnxruntime

NO_CONTEXT, BAD_HANDLE, BAD_VALUE = 107002, 107017, 100000
TIMED_OUT = 545601
DEVICES = 2

#: Device addresses: no address of a process on Linux, so that they never work as one of the host.
DEVICE_MEMORY = 0x0012_0000_0000_0000

#: Every function: its arguments (i an int, s a str, in brackets optional) and what it returns when
#: it fails: a code; a value and a code; or, for those that return no code, a value.
CODE = 'code'
FUNCTIONS = {
    'init': ('[s]', CODE),
    'finalize': ('', CODE),
    'get_soc_name': ('', None),
    'get_recent_err_msg': ('', None),
    'create_data_buffer': ('ii', 0),
    'destroy_data_buffer': ('i', CODE),
    'rt.set_device': ('i', CODE),
    'rt.reset_device': ('i', CODE),
    'rt.get_device_count': ('', (0, CODE)),
    'rt.get_run_mode': ('', (0, CODE)),
    'rt.create_context': ('i', (0, CODE)),
    'rt.get_context': ('', (0, CODE)),
    'rt.set_context': ('i', CODE),
    'rt.destroy_context': ('i', CODE),
    'rt.create_stream': ('', (0, CODE)),
    'rt.destroy_stream': ('i', CODE),
    'rt.synchronize_stream': ('i', CODE),
    'rt.synchronize_stream_with_timeout': ('ii', CODE),
    'rt.malloc': ('ii', (0, CODE)),
    'rt.free': ('i', CODE),
    'rt.malloc_host': ('i', (0, CODE)),
    'rt.free_host': ('i', CODE),
    'rt.memcpy': ('iiiii', CODE),
    'mdl.load_from_file': ('s', (0, CODE)),
    'mdl.unload': ('i', CODE),
    'mdl.create_desc': ('', 0),
    'mdl.get_desc': ('ii', CODE),
    'mdl.destroy_desc': ('i', CODE),
    'mdl.get_num_inputs': ('i', 0),
    'mdl.get_num_outputs': ('i', 0),
    'mdl.get_input_size_by_index': ('ii', 0),
    'mdl.get_output_size_by_index': ('ii', 0),
    'mdl.get_input_data_type': ('ii', -1),
    'mdl.get_output_data_type': ('ii', -1),
    'mdl.get_input_format': ('ii', -1),
    'mdl.get_output_format': ('ii', -1),
    'mdl.get_input_dims': ('ii', ({}, CODE)),
    'mdl.get_output_dims': ('ii', ({}, CODE)),
    'mdl.get_first_aipp_info': ('ii', (None, CODE)),
    'mdl.create_dataset': ('', 0),
    'mdl.add_dataset_buffer': ('ii', (0, CODE)),
    'mdl.destroy_dataset': ('i', CODE),
    'mdl.execute': ('iii', CODE),
    'mdl.execute_async': ('iiii', CODE),
}
RELEASES = {
    'finalize', 'destroy_data_buffer', 'rt.reset_device', 'rt.destroy_context',
    'rt.destroy_stream', 'rt.free', 'rt.free_host', 'mdl.unload', 'mdl.destroy_desc',
    'mdl.destroy_dataset',
}  # fmt: skip
#: Work before init, as far as to say nothing.
ALWAYS = {'init', 'finalize', 'get_soc_name', 'get_recent_err_msg'}
#: Work only where the calling thread has a context.
IN_CONTEXT = {
    'rt.get_run_mode', 'rt.create_stream', 'rt.destroy_stream', 'rt.malloc', 'rt.free',
    'rt.malloc_host', 'rt.free_host', 'rt.memcpy', 'rt.synchronize_stream',
    'rt.synchronize_stream_with_timeout', 'mdl.load_from_file', 'mdl.unload', 'mdl.execute',
    'mdl.execute_async',
}  # fmt: skip


def write_om(file, onnx, **variant):
    """Write what stands for an .om file.

    Args:
        file: to be written.
        onnx: the network.
        variant: batch (windows a run, 1), aipp ('rgb' or 'bgr': uint8 input in this order),
            swapped (the outputs' order), half (float16 outputs), padding (bytes after each
            output's numbers), seconds (that it takes), chip (that it is for), and, to be refused:
            input_type, input_bytes, inputs, output_type (overwriting what the description says).
    """
    file.write_text(json.dumps({'onnx': str(onnx), **variant}))
    return file


@functools.cache
def open_network(file):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=['CPUExecutionProvider'])


class Network:
    """What the JSON of an .om file says, as a model description tells it."""

    def __init__(self, variant):
        self.variant = variant
        session = open_network(variant['onnx'])
        self._input = session.get_inputs()[0].name
        self.batch = variant.get('batch', 1)
        _, channels, *sides = session.get_inputs()[0].shape
        self.aipp = variant.get('aipp')
        dims = (self.batch, *sides, channels) if self.aipp else (self.batch, channels, *sides)
        self.input_dtype = np.dtype(np.uint8 if self.aipp else np.float32)
        outputs = sorted(session.get_outputs(), key=lambda output: -output.shape[-1])
        if variant.get('swapped'):
            outputs.reverse()
        self._names = [output.name for output in outputs]
        self.output_dtype = np.dtype(np.float16 if variant.get('half') else np.float32)
        shapes = [(self.batch, *output.shape[1:]) for output in outputs]
        self.dims = {'input': [dims] * variant.get('inputs', 1), 'output': shapes}
        size = variant.get('input_bytes', int(np.prod(dims)) * self.input_dtype.itemsize)
        itemsize, padding = self.output_dtype.itemsize, variant.get('padding', 0)
        self.sizes = {
            'input': [size] * variant.get('inputs', 1),
            'output': [int(np.prod(shape)) * itemsize + padding for shape in shapes],
        }
        self.data_type = {
            'input': variant.get('input_type', 4 if self.aipp else 0),
            'output': variant.get('output_type', 1 if variant.get('half') else 0),
        }
        self.format = {'input': 1 if self.aipp else 0, 'output': 2}

    def run(self, data):
        """The outputs' bytes for an input's bytes."""
        size = int(np.prod(self.dims['input'][0])) * self.input_dtype.itemsize
        values = np.frombuffer(data[:size].ljust(size, b'\xff'), self.input_dtype)
        values = values.reshape(self.dims['input'][0])
        if self.aipp:
            # ATC's manual: out = (x - min) * var_reci, after the swap of red and blue.
            values = (values.astype(np.float32) - np.float32(127.5)) * np.float32(0.00784313725)
            values = values if self.aipp == 'rgb' else values[..., ::-1]
            values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        outputs = open_network(self.variant['onnx']).run(self._names, {self._input: values})
        return [output.astype(self.output_dtype).tobytes() for output in outputs]


@dataclass
class Memory:
    """Of the device, or of malloc_host."""

    address: int
    bytes: np.ndarray
    on_device: bool
    device: int


@dataclass
class Context:
    """As create_context makes it."""

    device: int


@dataclass
class Task:
    """A run of a model that was submitted and not yet waited for."""

    model: int
    inputs: list
    outputs: list
    code: int
    ready: float


@dataclass
class Stream:
    """With what was submitted to it, in order."""

    context: int
    tasks: list = field(default_factory=list)


@dataclass
class LoadedModel:
    """In the context it was loaded in."""

    context: int
    network: Network


@dataclass
class Buffer:
    """A data buffer: some memory, which it does not own."""

    address: int
    size: int


@dataclass
class Description:
    """Of a model, once get_desc has filled it."""

    network: Network | None = None


@dataclass
class Dataset:
    """Buffers, which it does not own, in order."""

    buffers: list = field(default_factory=list)


class RefusedError(Exception):
    """A call that ends with a code."""

    def __init__(self, code):
        self.code = code


class Simulation:
    """One process's pyACL and the devices below it.

    Args:
        run_mode: 1 ACL_HOST, 0 ACL_DEVICE (host and device share their memory).
        timeout_call: whether this CANN has synchronize_stream_with_timeout.
        chip: get_soc_name.
        initialised: whether other code in this process has initialised pyACL.

    Attributes:
        module: what `import acl` gives.
        calls: the names of all functions called, in order.
        violations: what broke the contract, as sentences.
        last_input: the bytes that the device last worked on.
    """

    def __init__(self, run_mode=1, timeout_call=True, chip='Ascend310B4', initialised=False):
        self.run_mode, self.chip = run_mode, chip
        self.calls, self.violations, self.last_input = [], [], b''
        self._faults = {}  # by number of the call
        self._named_faults = []  # [function, how many calls from now, code]
        self._initialised, self._finalised = initialised, False
        self._lock = threading.RLock()
        self._thread = threading.local()
        self._numbers = itertools.count(1)
        self._devices = Counter()
        # Handles never come again, so that one used after its end is seen.
        self._handles = {}
        self._message = None
        self.module = types.ModuleType('acl')
        self.module.rt, self.module.mdl = types.SimpleNamespace(), types.SimpleNamespace()
        for name in FUNCTIONS:
            if name != 'rt.synchronize_stream_with_timeout' or timeout_call:
                place, _, last = name.rpartition('.')
                target = getattr(self.module, place) if place else self.module
                setattr(target, last, functools.partial(self._call, name))

    # For tests

    @property
    def ledger(self):
        """What is still held: how many of each kind."""
        held = Counter(type(thing).__name__ for thing in self._handles.values())
        return dict(held + Counter(Device=self._devices.total()))

    def fail(self, where, code, nth=1):
        """Make a call fail: the nth from now of a function, or the one of this number in `calls`.

        'execution' is the device's own work, whose failure shows when it is waited for. A function
        that gives something back does so all the same.
        """
        if isinstance(where, int):
            self._faults[where] = code
        else:
            self._named_faults.append([where, nth, code])

    def _named_fault(self, name):
        """The code that this call of a function is to fail with, or 0."""
        due = 0
        for fault in self._named_faults:
            if fault[0] == name:
                fault[1] -= 1
                due = due or (fault[2] if fault[1] == 0 else 0)
        return due

    def report(self):
        return {
            'ledger': self.ledger,
            'violations': self.violations,
            'calls': Counter(self.calls),
        }

    # The way of every call

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
                    self._violate(f'{name} before init', 100001)
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

    def _violate(self, sentence, code):
        self.violations.append(f'{sentence} (thread {threading.current_thread().name})')
        raise RefusedError(code)

    def _new(self, thing, handle=None):
        handle = handle or 0xA000 + 16 * next(self._numbers)
        self._handles[handle] = thing
        return handle

    def _get(self, handle, kind):
        thing = self._handles.get(handle)
        if not isinstance(thing, kind):
            self._violate(f'{handle:#x} is no {kind.__name__}, or no longer', BAD_HANDLE)
        return thing

    def _end(self, handle, kind):
        thing = self._get(handle, kind)
        del self._handles[handle]
        return thing

    def _all(self, kind):
        return [thing for thing in self._handles.values() if isinstance(thing, kind)]

    def _context(self):
        """The calling thread's."""
        handle = getattr(self._thread, 'context', 0)
        if handle not in self._handles:
            self._violate('a call without a context in this thread', NO_CONTEXT)
        return handle

    def _check_context(self, handle, what):
        if handle != self._context():
            self._violate(f'{what} belongs to another context', 107003)

    def _tasks(self):
        return [task for stream in self._all(Stream) for task in stream.tasks]

    def _check_unused(self, buffers, what):
        for task in self._tasks():
            for busy in (*task.inputs, *task.outputs):
                if any(busy is buffer for buffer in buffers):
                    self._violate(f'{what} while the device works with it', BAD_VALUE)

    # acl

    def _init(self, config=''):
        if self._finalised:
            self._violate('init after finalize', 100000)
        if self._initialised:
            raise RefusedError(100002)
        self._initialised = True

    def _finalize(self):
        if not self._initialised:
            self._violate('finalize without init', 100037)
        if self.ledger:
            self.violations.append(f'finalize with {self.ledger} still held')
        self._initialised, self._finalised = False, True

    def _get_soc_name(self):
        return self.chip if self._initialised else None

    def _get_recent_err_msg(self):
        message, self._message = self._message, None
        return message

    def _create_data_buffer(self, address, size):
        memory, offset = self._find(address)
        if memory is None or not memory.on_device or offset + size > len(memory.bytes):
            self._violate(f'a buffer of {size} bytes that are not allocated', BAD_VALUE)
        return self._new(Buffer(address, size))

    def _destroy_data_buffer(self, handle):
        self._check_unused([self._get(handle, Buffer)], 'a buffer destroyed')
        self._end(handle, Buffer)

    # acl.rt: devices, contexts, streams

    def _rt_set_device(self, device):
        if device >= DEVICES:
            raise RefusedError(107001)
        self._devices[device] += 1

    def _rt_reset_device(self, device):
        if not self._devices[device]:
            self._violate(f'device {device} is reset, but not set', 107001)
        self._devices[device] -= 1
        held = [t for t in (*self._all(Context), *self._all(Memory)) if t.device == device]
        if not self._devices[device] and held:
            self._violate(f'device {device} is reset with {held} on it', BAD_VALUE)

    def _rt_get_device_count(self):
        return DEVICES

    def _rt_get_run_mode(self):
        return self.run_mode

    def _rt_create_context(self, device):
        if not self._devices[device]:
            self._violate(f'a context on device {device}, which is not set', 107001)
        self._thread.context = self._new(Context(device))
        return self._thread.context

    def _rt_get_context(self):
        return self._context()

    def _rt_set_context(self, handle):
        self._get(handle, Context)
        self._thread.context = handle

    def _rt_destroy_context(self, handle):
        for thing in (*self._all(Stream), *self._all(LoadedModel)):
            if thing.context == handle:
                self._violate(f'a context is destroyed with {thing} in it', BAD_VALUE)
        self._end(handle, Context)

    def _rt_create_stream(self):
        return self._new(Stream(self._context()))

    def _rt_destroy_stream(self, handle):
        stream = self._get(handle, Stream)
        self._check_context(stream.context, 'the stream')
        if stream.tasks:
            self.violations.append('a stream is destroyed while it works')
        self._end(handle, Stream)

    def _rt_synchronize_stream(self, handle):
        self._synchronise(handle, float('inf'))

    def _rt_synchronize_stream_with_timeout(self, handle, milliseconds):
        self._synchronise(handle, milliseconds / 1000)

    def _synchronise(self, handle, seconds):
        stream = self._get(handle, Stream)
        self._check_context(stream.context, 'the stream')
        while stream.tasks:
            task = stream.tasks[0]
            self.last_input = data = self._bytes_of(task.inputs[0]).tobytes()
            network = self._get(task.model, LoadedModel).network
            # The device works, and pyACL lets other threads of Python run.
            self._lock.release()
            try:
                wait = task.ready - time.monotonic()
                time.sleep(max(0, min(wait, seconds)))
                outputs = network.run(data) if wait <= seconds and not task.code else []
            finally:
                self._lock.acquire()
            if task not in stream.tasks:
                self._violate('a stream is waited for by two threads at once', BAD_VALUE)
            if wait > seconds:
                raise RefusedError(TIMED_OUT)
            for buffer, output in zip(task.outputs, outputs):
                self._bytes_of(buffer)[: len(output)] = np.frombuffer(output, np.uint8)
            stream.tasks.remove(task)
            if task.code:
                raise RefusedError(task.code)

    # acl.rt: memory

    def _rt_malloc(self, size, policy):
        if not size or policy > 2:
            self._violate(f'malloc of {size} bytes with policy {policy}', BAD_VALUE)
        # Apart from each other, so that what runs over one is in none. All bits set are NaN.
        address = DEVICE_MEMORY + (next(self._numbers) << 32)
        memory = Memory(address, np.full(size, 255, np.uint8), True, self._device())
        return self._new(memory, address)

    def _rt_malloc_host(self, size):
        array = np.full(size, 255, np.uint8)
        return self._new(Memory(array.ctypes.data, array, False, self._device()), array.ctypes.data)

    def _device(self):
        return self._handles[self._context()].device

    def _rt_free(self, address):
        self._free(address, on_device=True)

    def _rt_free_host(self, address):
        self._free(address, on_device=False)

    def _free(self, address, on_device):
        memory = self._get(address, Memory)
        if memory.on_device is not on_device:
            self._violate('free and free_host mixed up', BAD_VALUE)
        self._check_unused(self._buffers_in(memory), 'memory is freed')
        self._end(address, Memory)

    def _find(self, address):
        """Memory at an address, and how far in; (None, 0) if it is not pyACL's."""
        for memory in self._all(Memory):
            if 0 <= (offset := address - memory.address) < len(memory.bytes):
                return memory, offset
        return None, 0

    def _buffers_in(self, memory):
        return [buffer for buffer in self._all(Buffer) if self._find(buffer.address)[0] is memory]

    def _bytes_of(self, buffer):
        memory, offset = self._find(buffer.address)
        if memory is None:
            self._violate('the memory of a buffer was freed', BAD_VALUE)
        return memory.bytes[offset : offset + buffer.size]

    def _rt_memcpy(self, target, target_size, source, count, kind):
        if self.run_mode == 0:
            if kind != 3:
                self._violate(f'memcpy kind {kind} where all memory is the device', BAD_VALUE)
            kinds = (None, None)
        elif kind > 3:
            self._violate(f'memcpy kind {kind}', BAD_VALUE)
        else:
            kinds = (kind in (1, 3), kind in (2, 3))
        if not 0 < count <= target_size:
            self._violate(f'memcpy of {count} bytes into {target_size}', BAD_VALUE)
        data = self._access(source, count, kinds[1])
        self._access(target, target_size, kinds[0], data)

    def _access(self, address, size, on_device, data=None):
        """Read memory, or write data to it; on_device None: of either kind."""
        memory, offset = self._find(address)
        if memory is not None:
            right_space = on_device in (None, memory.on_device)
            if not right_space or offset + size > len(memory.bytes):
                self._violate(f'{size} bytes at {address:#x} are not as memcpy was told', BAD_VALUE)
            self._check_unused(self._buffers_in(memory), 'memory is copied')
            if data is None:
                return memory.bytes[offset : offset + size].tobytes()
            memory.bytes[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
            return None
        if on_device or not self._is_mapped(address, size, data is not None):
            self._violate(f'{size} bytes at {address:#x} are not allocated', BAD_VALUE)
        if data is None:
            return ctypes.string_at(address, size)
        ctypes.memmove(address, data, len(data))
        return None

    @staticmethod
    def _is_mapped(address, size, writable):
        """Whether the process has such memory; more is not known of Python's own."""
        end = address + size
        with open('/proc/self/maps') as maps:
            for line in maps:
                area, access = line.split()[:2]
                first, last = (int(bound, 16) for bound in area.split('-'))
                if first <= address < last and 'r' in access and ('w' in access or not writable):
                    address = min(end, last)
        return address == end

    # acl.mdl: models and what they tell of themselves

    def _mdl_load_from_file(self, file):
        try:
            with open(file) as text:
                variant = json.load(text)
        except OSError:
            raise RefusedError(145002) from None
        except ValueError:
            raise RefusedError(145000) from None
        if variant.get('chip', self.chip) != self.chip:
            raise RefusedError(500002)
        return self._new(LoadedModel(self._context(), Network(variant)), next(self._numbers))

    def _mdl_unload(self, handle):
        model = self._get(handle, LoadedModel)
        self._check_context(model.context, 'the model')
        if any(task.model == handle for task in self._tasks()):
            self.violations.append('a model is unloaded while it runs')
        self._end(handle, LoadedModel)

    def _mdl_create_desc(self):
        return self._new(Description())

    def _mdl_get_desc(self, description, model):
        self._get(description, Description).network = self._get(model, LoadedModel).network

    def _mdl_destroy_desc(self, handle):
        self._end(handle, Description)

    def _network(self, description):
        network = self._get(description, Description).network
        if network is None:
            self._violate('a description that is empty is read', BAD_VALUE)
        return network

    def _described(self, description, index, what, way):
        values = getattr(self._network(description), what)[way]
        if isinstance(values, int):
            return values
        if index >= len(values):
            self._violate(f'{way} {index} of {len(values)}', BAD_VALUE)
        return values[index]

    def _mdl_get_num_inputs(self, description):
        return len(self._network(description).dims['input'])

    def _mdl_get_num_outputs(self, description):
        return len(self._network(description).dims['output'])

    def _mdl_get_input_size_by_index(self, description, index):
        return self._described(description, index, 'sizes', 'input')

    def _mdl_get_output_size_by_index(self, description, index):
        return self._described(description, index, 'sizes', 'output')

    def _mdl_get_input_data_type(self, description, index):
        return self._described(description, index, 'data_type', 'input')

    def _mdl_get_output_data_type(self, description, index):
        return self._described(description, index, 'data_type', 'output')

    def _mdl_get_input_format(self, description, index):
        return self._described(description, index, 'format', 'input')

    def _mdl_get_output_format(self, description, index):
        return self._described(description, index, 'format', 'output')

    def _mdl_get_input_dims(self, description, index):
        return self._dims(description, index, 'input')

    def _mdl_get_output_dims(self, description, index):
        return self._dims(description, index, 'output')

    def _dims(self, description, index, way):
        dims = [*self._described(description, index, 'dims', way)]
        return {'name': f'{way}_{index}', 'dimCount': len(dims), 'dims': dims}

    def _mdl_get_first_aipp_info(self, model, index):
        network = self._get(model, LoadedModel).network
        if not network.aipp or index:
            raise RefusedError(100038)
        return {'rbuvSwapSwitch': int(network.aipp == 'bgr')}

    # acl.mdl: data and execution

    def _mdl_create_dataset(self):
        return self._new(Dataset())

    def _mdl_add_dataset_buffer(self, dataset, buffer):
        self._get(dataset, Dataset).buffers.append(self._get(buffer, Buffer))
        return dataset

    def _mdl_destroy_dataset(self, handle):
        self._check_unused(self._get(handle, Dataset).buffers, 'a dataset destroyed')
        self._end(handle, Dataset)

    def _mdl_execute(self, model, inputs, outputs):
        stream = self._rt_create_stream()
        self._mdl_execute_async(model, inputs, outputs, stream)
        try:
            self._synchronise(stream, float('inf'))
        finally:
            self._end(stream, Stream)

    def _mdl_execute_async(self, handle, inputs, outputs, stream_handle):
        model = self._get(handle, LoadedModel)
        stream = self._get(stream_handle, Stream)
        self._check_context(model.context, 'the model')
        self._check_context(stream.context, 'the stream')
        if any(task.model == handle for task in self._tasks()):
            self._violate('a model runs twice at once', BAD_VALUE)
        sets = {'input': inputs, 'output': outputs}
        for way, dataset in sets.items():
            sets[way] = buffers = list(self._get(dataset, Dataset).buffers)
            sizes = model.network.sizes[way]
            if len(buffers) != len(sizes):
                self._violate(f'{len(buffers)} {way} buffers for {len(sizes)}', BAD_VALUE)
            for buffer, size in zip(buffers, sizes):
                if not any(buffer is known for known in self._all(Buffer)):
                    self._violate(f'an {way} buffer was destroyed', BAD_VALUE)
                self._bytes_of(buffer)
                if buffer.size > size and way == 'input':
                    raise RefusedError(145000)
                if buffer.size < size:
                    # A board takes such an input without a word.
                    self.violations.append(f'{way} of {buffer.size} bytes where {size} are wanted')
        seconds = model.network.variant.get('seconds', 0)
        code = self._named_fault('execution')
        stream.tasks.append(
            Task(handle, sets['input'], sets['output'], code, time.monotonic() + seconds)
        )


def write_report(simulation, file):
    """Leave what was held and broken, for a test in another process."""
    temporary = f'{file}.part'
    with open(temporary, 'w') as text:
        json.dump(simulation.report(), text)
    os.replace(temporary, file)
