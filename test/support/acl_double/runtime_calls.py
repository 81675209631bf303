"""The functions of `acl` and `acl.rt`: devices, contexts, streams and memory."""

import ctypes

import numpy as np

from acl_double.calls import Calls
from acl_double.contract import (
    BAD_DEVICE,
    BAD_VALUE,
    DEVICE_MEMORY,
    DEVICES,
    INITIALISED_ALREADY,
    RefusedError,
)
from acl_double.handles import Buffer, Context, LoadedModel, Memory, Stream


class RuntimeCalls(Calls):
    """The functions of `acl` and `acl.rt`.

    Args:
        run_mode: 1 for ACL_HOST; 0 for ACL_DEVICE, where host and device share their memory.
        timeout_call: whether this CANN has synchronize_stream_with_timeout.
        chip: the result of get_soc_name.
        initialised: whether other code in this process has initialised pyACL.
    """

    def __init__(self, run_mode=1, timeout_call=True, chip='Ascend310B4', initialised=False):
        super().__init__(timeout_call, initialised)
        self.run_mode, self.chip, self.last_input = run_mode, chip, b''

    # acl

    def _init(self, config=''):
        if self._finalised:
            self._violate('init after finalize', BAD_VALUE)
        if self._initialised:
            raise RefusedError(INITIALISED_ALREADY)
        self._initialised = True

    def _finalize(self):
        if not self._initialised:
            self._violate('finalize without init', 100037)
        if self.ledger:
            self.violations.append(f'finalize with {self.ledger} not released')
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
        self._check_unused([self._get(handle, Buffer)], 'a buffer is destroyed')
        self._end(handle, Buffer)

    # acl.rt: devices, contexts, streams

    def _rt_set_device(self, device):
        if device >= DEVICES:
            raise RefusedError(BAD_DEVICE)
        self._devices[device] += 1

    def _rt_reset_device(self, device):
        if not self._devices[device]:
            self._violate(f'device {device} is reset, but not set', BAD_DEVICE)
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
            self._violate(f'a context on device {device}, which is not set', BAD_DEVICE)
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
        self._synchronise(handle)

    def _rt_synchronize_stream_with_timeout(self, handle, milliseconds):
        # No run ever takes too long by itself. A test that wants a timeout makes this call fail
        # with its code, which leaves the task on the stream.
        self._synchronise(handle)

    def _synchronise(self, handle):
        stream = self._get(handle, Stream)
        self._check_context(stream.context, 'the stream')
        while stream.tasks:
            task = stream.tasks[0]
            self.last_input = data = self._bytes_of(task.inputs[0]).tobytes()
            network = self._get(task.model, LoadedModel).network
            # While the device works, pyACL lets other threads of Python run.
            self._lock.release()
            try:
                network.wait()
                outputs = [] if task.code else network.run(data)
            finally:
                self._lock.acquire()
            if task not in stream.tasks:
                self._violate('two threads wait for a stream at the same time', BAD_VALUE)
            for buffer, output in zip(task.outputs, outputs):
                self._bytes_of(buffer)[: len(output)] = np.frombuffer(output, np.uint8)
            stream.tasks.remove(task)
            if task.code:
                raise RefusedError(task.code)

    # acl.rt: memory

    def _rt_malloc(self, size, policy):
        if not size or policy > 2:
            self._violate(f'malloc of {size} bytes with policy {policy}', BAD_VALUE)
        # The areas lie far apart, so that an access beyond the end of one hits no other. All bits
        # are set, which makes the values NaN.
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
            self._violate('free is used for malloc_host, or free_host for malloc', BAD_VALUE)
        self._check_unused(self._buffers_in(memory), 'memory is freed')
        self._end(address, Memory)

    def _find(self, address):
        """The memory at an address and the offset in it; (None, 0) if it is not pyACL's."""
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
        """Read memory, or write data to it. If on_device is None, it may be of either kind."""
        memory, offset = self._find(address)
        if memory is not None:
            right_kind = on_device in (None, memory.on_device)
            if not right_kind or offset + size > len(memory.bytes):
                self._violate(f'memcpy with {size} wrong bytes at {address:#x}', BAD_VALUE)
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
        """Whether the process has such memory. More is not known about Python's own memory."""
        end = address + size
        with open('/proc/self/maps') as maps:
            for line in maps:
                area, access = line.split()[:2]
                first, last = (int(bound, 16) for bound in area.split('-'))
                if first <= address < last and 'r' in access and ('w' in access or not writable):
                    address = min(end, last)
        return address == end
