"""Ascend: runs .om files on Huawei's Atlas and Orange Pi AIpro boards through pyACL.

The code follows pyACL's own source. docs/ascend.md says what was tested, and how.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.backends.acl_runtime import (
    AclError,
    Resources,
    call,
    has,
    need_acl,
    number_of,
    query,
    runtime,
)
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError
from blazeface_ros.models.catalogue import COORDINATES, Model, check_network

Array = npt.NDArray[np.float32]

#: Environment variable with the colour order of a model with AIPP, 'rgb' or 'bgr'. It is meant for
#: models that report no order or a wrong one.
AIPP_ORDER = 'BLAZEFACE_AIPP_ORDER'

#: Milliseconds the network may take, which is far more than it takes on a device that works.
TIMEOUT_MS = 5000

# Enumerators of acl_base.h, acl_rt.h.
FLOAT, FLOAT16, UINT8 = 0, 1, 4  # aclDataType
NCHW, NHWC, ND = 0, 1, 2  # aclFormat
HUGE_PAGES_FIRST = 0  # aclrtMemMallocPolicy
HOST_MODE = 1  # aclrtRunMode
HOST_TO_DEVICE, DEVICE_TO_HOST, DEVICE_TO_DEVICE = 1, 2, 3  # aclrtMemcpyKind

OUTPUT_TYPES = {FLOAT: np.float32, FLOAT16: np.float16}


class _Tensor(NamedTuple):
    """An input or output of the network.

    Attributes:
        host: its values in the memory of the host.
        device: address of its buffer in the memory of the device.
    """

    host: npt.NDArray[Any]
    device: int


class AscendBackend:
    """An .om file on an Ascend NPU.

    Any thread may use or close it. One thread runs the network at a time, and the others wait.
    Afterwards, the context of this backend is the current context of the calling thread.

    Args:
        model: the network that the file must hold; None accepts any network of the catalogue.
        file: the .om file; its input is float32 NCHW, or uint8 NHWC with AIPP.
        device: 'npu:N', or 'auto', which is npu:0.
        threads: has no effect, as the network does not run on the CPU.

    Raises:
        BackendError: if pyACL is missing or fails (`AclError`).
        ConfigurationError: if the device or the colour order in $BLAZEFACE_AIPP_ORDER is unknown.
        ModelError: if the file is not an .om file, or does not hold this network.
    """

    def __init__(self, model: Model | None, file: Path, *, device: str, threads: int) -> None:
        name = re.fullmatch('auto|npu:([0-9]+)', device)
        if not name:
            raise ConfigurationError(
                f"device '{device}' is unknown to backend 'ascend'; there are: auto, npu:0, npu:1 …"
            )
        self._device = int(name[1] or 0)
        self._file = file
        self._lock = threading.Lock()
        self._resources = Resources()
        self._submitted = False
        need_acl()
        if file.suffix != '.om':
            raise ModelError(
                f"backend 'ascend' runs .om files, not '{file.name}', and the package ships none, "
                'as each is for one chip only: convert the network with `blazeface convert '
                'onnx-to-om` and give the path of the .om file as model'
            )
        runtime.enter(self)
        try:
            self._open_device()
            self.model = self._load(model)
            self._resources.before_release(self._settle)
        except BaseException:
            with contextlib.suppress(AclError):  # the first error is the one to report
                self.close()
            raise

    def _open_device(self) -> None:
        call('rt.set_device', self._device)
        self._resources.add(self._device, 'rt.reset_device')
        # The backend has a context of its own, which no other code on the device destroys. This
        # call also makes it the current context of the thread.
        context = call('rt.create_context', self._device)
        self._context = self._resources.add(context, 'rt.destroy_context')
        self._stream = self._resources.add(call('rt.create_stream'), 'rt.destroy_stream')
        # mdl.execute would hold Python's global interpreter lock; synchronising does not.
        self._synchronise: tuple[Any, ...] = ('rt.synchronize_stream', self._stream)
        if has('rt.synchronize_stream_with_timeout'):
            self._synchronise = ('rt.synchronize_stream_with_timeout', self._stream, TIMEOUT_MS)
        # A board that is its own host (root complex) has only the memory of the device.
        on_host = call('rt.get_run_mode') == HOST_MODE
        self._to_device = HOST_TO_DEVICE if on_host else DEVICE_TO_DEVICE
        self._to_host = DEVICE_TO_HOST if on_host else DEVICE_TO_DEVICE

    def _load(self, expected: Model | None) -> Model:
        """Load the file, identify the network by its shapes and allocate its memory."""
        self._id = self._resources.add(call('mdl.load_from_file', str(self._file)), 'mdl.unload')
        description = self._resources.add(number_of('mdl.create_desc'), 'mdl.destroy_desc')
        call('mdl.get_desc', description, self._id)
        outputs = [
            call('mdl.get_output_dims', description, index)['dims']
            for index in range(number_of('mdl.get_num_outputs', description))
        ]
        kind, (self._batch_size, *shape) = self._describe_input(description)
        model = check_network(self._file, expected, shape, (dims[1:] for dims in outputs))
        if self._batch_size < 1 or any(dims[0] != self._batch_size for dims in outputs):
            raise self._refusal(
                f'takes batches of {self._batch_size} inputs, and its outputs are {outputs}'
            )

        self._order = self._aipp_order() if kind == UINT8 else 'rgb'
        self._input = self._open_input(description, model, kind)
        self._output_set = self._create_dataset()
        # The buffers stand in the model's order of outputs, which depends on the conversion.
        tensors = {
            dims[-1]: self._open_output(description, index, dims)
            for index, dims in enumerate(outputs)
        }
        self._outputs = tensors[COORDINATES], tensors[1]
        chip = query('get_soc_name') or 'Ascend'
        layout = f'uint8 {self._order} (AIPP)' if kind == UINT8 else 'float32 rgb'
        self.description = f'pyACL, {chip} npu:{self._device}, input {layout}'
        return model

    def _refusal(self, reason: str) -> ModelError:
        return ModelError(
            f"model file '{self._file}' {reason}; convert the network again with `blazeface "
            'convert onnx-to-om`, which fixes the --input_shape of atc'
        )

    def _describe_input(self, description: int) -> tuple[int, list[int]]:
        """The data type of the input, and its shape as [N, 3, S, S] whatever its layout."""
        if (count := number_of('mdl.get_num_inputs', description)) != 1:
            raise self._refusal(f'has {count} inputs')
        kind = number_of('mdl.get_input_data_type', description, 0, at_least=0)
        layout = number_of('mdl.get_input_format', description, 0, at_least=0)
        dims = call('mdl.get_input_dims', description, 0)['dims']
        if (kind, layout) not in ((FLOAT, NCHW), (FLOAT, ND), (UINT8, NHWC)):
            raise self._refusal(
                f'takes data type {kind} in format {layout}, neither float32 NCHW nor uint8 NHWC'
            )
        if kind == UINT8 and dims[-1] == 3:
            dims = [dims[0], dims[-1], *dims[1:-1]]
        return kind, dims

    def _aipp_order(self) -> str:
        """The order of the colours in the model's uint8 input, 'rgb' or 'bgr'."""
        order = os.environ.get(AIPP_ORDER)
        if order is None:
            info = call('mdl.get_first_aipp_info', self._id, 0)
            order = 'bgr' if info['rbuvSwapSwitch'] else 'rgb'
        if order not in ('rgb', 'bgr'):
            raise ConfigurationError(f"${AIPP_ORDER} is '{order}'; it must be rgb or bgr")
        return order

    def _open_input(self, description: int, model: Model, kind: int) -> _Tensor:
        # Zeros, so that the unused rest of a batch never is uninitialised memory.
        host: npt.NDArray[Any] = np.zeros((self._batch_size, *model.input_shape), np.float32)
        self._planes: npt.NDArray[np.uint8] | None = None
        if kind == UINT8:
            self._planes = np.empty(model.input_shape, np.uint8)
            host = np.zeros(host.transpose(0, 2, 3, 1).shape, np.uint8)
        size = number_of('mdl.get_input_size_by_index', description, 0)
        # The device would accept a buffer that is too small, and read beyond its end.
        if size != host.nbytes:
            wanted = f'{host.nbytes} for {host.dtype} {[*host.shape]}'
            raise self._refusal(f'takes {size} bytes, not {wanted}')
        self._input_set = self._create_dataset()
        return _Tensor(host, self._add_buffer(self._input_set, size))

    def _open_output(self, description: int, index: int, dims: list[int]) -> _Tensor:
        kind = number_of('mdl.get_output_data_type', description, index, at_least=0)
        if kind not in OUTPUT_TYPES:
            raise self._refusal(f'has output {dims} of data type {kind}, not float32 or float16')
        host = np.empty(dims, OUTPUT_TYPES[kind])
        # The size may be larger than that of the values.
        size = number_of('mdl.get_output_size_by_index', description, index)
        if size < host.nbytes:
            raise self._refusal(f'has {size} bytes for output {host.dtype} {dims}')
        return _Tensor(host, self._add_buffer(self._output_set, size))

    def _create_dataset(self) -> int:
        """Create the list of the buffers of all inputs, or of all outputs."""
        dataset: int = self._resources.add(number_of('mdl.create_dataset'), 'mdl.destroy_dataset')
        return dataset

    def _add_buffer(self, dataset: int, size: int) -> int:
        """Allocate memory on the device for an input or output. Returns its address."""
        memory: int = self._resources.add(call('rt.malloc', size, HUGE_PAGES_FIRST), 'rt.free')
        buffer = self._resources.add(
            number_of('create_data_buffer', memory, size), 'destroy_data_buffer'
        )
        call('mdl.add_dataset_buffer', dataset, buffer)
        return memory

    def infer(self, batch: Array) -> tuple[Array, Array]:
        """See `Backend.infer`. The batch is split into parts of the batch size of the model.

        Raises:
            BackendError: if the batch has another shape, the backend is closed, or this process
                is a fork of the one that opened it.
            AclError: if the device fails.
        """
        if batch.dtype != np.float32 or batch.shape[1:] != self.model.input_shape:
            raise BackendError(
                f'the network takes float32 [N, {str([*self.model.input_shape])[1:]}, '
                f'got {batch.dtype} {[*batch.shape]}'
            )
        runtime.check_process()
        coordinates, logits = (
            np.empty((len(batch), *shape), np.float32) for shape in self.model.output_shapes
        )
        with self._lock:
            if not self._resources:
                raise BackendError('the detector is closed: open a new one')
            self._settle()
            for start in range(0, len(batch), self._batch_size):
                inputs = batch[start : start + self._batch_size]
                self._write_input(inputs)
                self._execute()
                for tensor, result in zip(self._outputs, (coordinates, logits)):
                    host, device = tensor
                    size = host.nbytes
                    call('rt.memcpy', host.ctypes.data, size, device, size, self._to_host)
                    result[start : start + len(inputs)] = host[: len(inputs)]
        return coordinates, logits

    def _settle(self) -> None:
        """Set the context of this thread, and wait for what an earlier failure left running."""
        call('rt.set_context', self._context)
        self._wait()

    def _wait(self) -> None:
        if self._submitted:
            call(*self._synchronise)
            self._submitted = False

    def _write_input(self, inputs: Array) -> None:
        """Copy up to a batch of inputs to the device. The rest of the batch stays as it was."""
        host, device = self._input
        if self._planes is None:
            host[: len(inputs)] = inputs
        else:
            for floats, pixels in zip(inputs, host):
                # This gives exactly the bytes of the picture: the rounding error of p / 127.5 - 1
                # in float32 is far less than half a step, and this rounds to the nearest step.
                rows = (-1, floats.shape[-1])
                cv2.convertScaleAbs(
                    floats.reshape(rows), self._planes.reshape(rows), alpha=127.5, beta=127.5
                )
                planes = self._planes if self._order == 'rgb' else self._planes[::-1]
                cv2.merge([*planes], pixels)
        # The copy is synchronous, as only memory of malloc_host may be copied asynchronously.
        call('rt.memcpy', device, host.nbytes, host.ctypes.data, host.nbytes, self._to_device)

    def _execute(self) -> None:
        self._submitted = True  # set before the call, as an interrupt may come right after it
        call('mdl.execute_async', self._id, self._input_set, self._output_set, self._stream)
        self._wait()

    def close(self) -> None:
        """See `Backend.close`.

        Raises:
            AclError: the first error, after the release of every resource was tried.
        """
        try:
            with self._lock:
                if self._resources:
                    runtime.check_process()
                    self._resources.release()
        finally:
            runtime.leave(self)
