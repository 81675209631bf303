"""ONNX Runtime: the default backend, which runs on every machine."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from blazeface_ros.backends.cores import useful_threads
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError
from blazeface_ros.models.catalogue import COORDINATES, ONNX_MODEL, Model, check_network

Array = npt.NDArray[np.float32]
CPU = 'CPUExecutionProvider'


class _Accelerator(NamedTuple):
    """What the name of a device means to ONNX Runtime.

    Attributes:
        provider: the execution provider.
        package: the Python package with a build of ONNX Runtime that has this provider.
        option: the option of the provider that takes the text after the colon of the name.
        choice: a regular expression for that text.
        example: what stands for that text in messages.
    """

    provider: str
    package: str
    option: str = 'device_id'
    choice: str = '[0-9]+'
    example: str = 'N'


ACCELERATORS = {
    'cuda': _Accelerator('CUDAExecutionProvider', 'onnxruntime-gpu'),
    'tensorrt': _Accelerator('TensorrtExecutionProvider', 'onnxruntime-gpu'),
    'openvino': _Accelerator(
        'OpenVINOExecutionProvider',
        'onnxruntime-openvino',
        'device_type',
        # OpenVINO accepts device types that it does not know without an error.
        r'(?:CPU|GPU|NPU|AUTO|HETERO|MULTI)(?:[.:,].+)?',
        'DEVICE',
    ),
    'npu': _Accelerator('CANNExecutionProvider', 'onnxruntime-cann'),
}
#: The devices that 'auto' tries before the CPU. The default must give the same faces everywhere and
#: start within seconds, which rules out the other devices: TensorRT may take minutes to build its
#: engine, OpenVINO may choose another precision, and wrong results of CANN were reported (on an
#: Atlas 200 DK).
AUTOMATIC = ('cuda',)


def import_onnxruntime() -> Any:
    """Import ONNX Runtime with its telemetry off. Nothing else in this package may import it.

    ONNX Runtime 1.32 writes an id of the device into the user's home folder, and some seconds later
    it looks up a host to send reports to. Both happen unless this variable says otherwise when the
    library is loaded. If the user has set the variable, that value holds.

    Raises:
        ImportError: if onnxruntime is not installed.
    """
    os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')
    import onnxruntime

    return onnxruntime


class OnnxRuntimeBackend:
    """An .onnx file in an ONNX Runtime session.

    Args:
        model: the network that the file must hold; None accepts any network of the catalogue.
        file: the .onnx file.
        device: 'auto' (CUDA where it works, else the CPU), 'cpu', or one of `ACCELERATORS`, such
            as 'cuda', 'cuda:1' or 'openvino:GPU'.
        threads: number of CPU threads the network uses; 0: as many as make it faster, and at most
            one for each core.

    Raises:
        BackendError: if onnxruntime is not installed or cannot use the device.
        ConfigurationError: if the device is unknown.
        ModelError: if the file cannot be read, does not hold this network, or has a fixed batch
            size other than 1.
    """

    def __init__(self, model: Model | None, file: Path, *, device: str, threads: int) -> None:
        asked = _parse(device)
        try:
            onnxruntime = import_onnxruntime()
        except ImportError as error:
            raise BackendError(
                "backend 'onnxruntime' needs the Python package onnxruntime "
                f'({error}): pip install onnxruntime'
            ) from error

        def options(threads: int) -> Any:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            # By default the idle threads of ONNX Runtime spin for a while after each run. At the
            # rate of a camera that keeps whole cores busy.
            options.add_session_config_entry('session.intra_op.allow_spinning', '0')
            options.add_session_config_entry('session.inter_op.allow_spinning', '0')
            options.log_severity_level = 3  # errors are raised, with the same text
            return options

        threads = useful_threads(threads)
        available = onnxruntime.get_available_providers()
        if device == 'auto':
            asked = [(name, choice) for name, choice in asked if name.provider in available]
        for accelerator, _ in asked:
            if accelerator.provider not in available:
                raise BackendError(
                    f"device '{device}' needs {accelerator.provider}, but the installed ONNX "
                    f'Runtime {onnxruntime.__version__} has only {", ".join(available)}: pip '
                    f'install {accelerator.package} in place of onnxruntime'
                )
        make = onnxruntime.InferenceSession
        self._session, provider, failure = _open(make, file, options(threads), asked)
        if provider == CPU and asked and device != 'auto':
            raise BackendError(
                f"device '{device}' was asked for, but {CPU} would run the network, as "
                f'{asked[0][0].provider} does not start ({failure or "its log lines say why"}): '
                "check the device, its driver and its libraries, or use device 'auto' or 'cpu'"
            )
        self.model = self._check(file, model)
        self.description = f'ONNX Runtime {onnxruntime.__version__}, {provider}'
        for accelerator, choice in asked:
            if choice and accelerator.provider == provider:
                self.description += f' {choice}'
        self._one_thread, self._pool = self._session, None
        if provider == CPU and threads > 1:
            self._one_thread = make(str(file), options(1), providers=[CPU])
            self._pool = ThreadPoolExecutor(threads, 'network')
        self._whole_batches = provider != CPU and self._batch_size != 1

    def _check(self, file: Path, expected: Model | None) -> Model:
        """Identify the network by its shapes, and the outputs by their last dimensions."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != 'tensor(float)':
            raise ModelError(
                f"model file '{file}' has the inputs "
                f'{[(i.name, i.type, i.shape) for i in inputs]}; it must have one of float32'
            )
        model = check_network(
            file,
            expected,
            inputs[0].shape[1:],
            (output.shape[1:] for output in outputs),
            self._session.get_modelmeta().custom_metadata_map.get(ONNX_MODEL, ''),
        )
        self._input, self._batch_size = inputs[0].name, inputs[0].shape[0]
        if isinstance(self._batch_size, int) and self._batch_size != 1:
            raise ModelError(
                f"model file '{file}' takes batches of {self._batch_size} inputs only: convert it "
                'with --batch dynamic'
            )
        names = {output.shape[-1]: output.name for output in outputs}
        self._outputs = [names[COORDINATES], names[1]]
        return model

    def infer(self, batch: Array) -> tuple[Array, Array]:
        """See `Backend.infer`."""
        try:
            if len(batch) == 1 or self._whole_batches:
                coordinates, logits = self._session.run(self._outputs, {self._input: batch})
                return coordinates, logits
            # On a CPU, the tensors of a whole batch do not fit into the caches, and several threads
            # inside so small a network wait for one another after each layer. It is faster to run
            # single inputs, each on one thread, side by side.
            run = partial(self._one_thread.run, self._outputs)
            inputs = [{self._input: planes[None]} for planes in batch]
            if self._pool is None:
                parts = [run(one) for one in inputs]
            else:
                runs = [self._pool.submit(run, one) for one in inputs]
                wait(runs)  # for all of them, even if one fails, so that none still runs later
                parts = [one.result() for one in runs]
            coordinates, logits = map(np.concatenate, zip(*parts))
        except Exception as error:
            raise BackendError(f'ONNX Runtime could not run the network: {error}') from error
        return coordinates, logits

    def close(self) -> None:
        """See `Backend.close`. The sessions are released with their last references."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)


def _parse(device: str) -> list[tuple[_Accelerator, str]]:
    """The accelerators to try before the CPU, each with the text after the colon of its name.

    Raises:
        ConfigurationError: if the device is unknown.
    """
    if device == 'auto':
        return [(ACCELERATORS[name], '') for name in AUTOMATIC]
    if device == 'cpu':
        return []
    name, colon, choice = device.partition(':')
    found = ACCELERATORS.get(name)
    if found is None or (colon and not re.fullmatch(found.choice, choice)):
        names = ', '.join(f'{name}[:{a.example}]' for name, a in ACCELERATORS.items())
        raise ConfigurationError(
            f"device '{device}' is unknown to backend 'onnxruntime'; there are: auto, cpu, {names}"
        )
    return [(found, choice)]


def _open(
    make: Any, file: Path, options: Any, asked: list[tuple[_Accelerator, str]]
) -> tuple[Any, str, Exception | None]:
    """Make a session on the first accelerator that starts, or else on the CPU.

    Returns:
        The session, the provider that runs it, and the error of the last accelerator, if it raised
        one.

    Raises:
        ModelError: if the file cannot be read.
    """
    failure = None
    for accelerator, choice in asked:
        provider = accelerator.provider, {accelerator.option: choice} if choice else {}
        try:
            # ONNX Runtime's own fallback would only print a line to the standard output.
            session = make(str(file), options, providers=[provider, CPU], enable_fallback=0)
        except Exception as error:  # the classes of onnxruntime have no public base class
            failure = error
            continue
        # ONNX Runtime may leave out the provider without an error.
        if (running := session.get_providers()[0]) == accelerator.provider:
            return session, running, None
    try:
        return make(str(file), options, providers=[CPU]), CPU, failure
    except Exception as error:
        raise ModelError(f"model file '{file}' is not a readable ONNX file: {error}") from error
