"""ONNX Runtime: the backend that runs everywhere."""

from __future__ import annotations

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
    """What a device name means to ONNX Runtime: `option` takes what follows its colon."""

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
        # A device type that it does not know, OpenVINO takes without a word.
        r'(?:CPU|GPU|NPU|AUTO|HETERO|MULTI)(?:[.:,].+)?',
        'DEVICE',
    ),
    'npu': _Accelerator('CANNExecutionProvider', 'onnxruntime-cann'),
}
#: What 'auto' tries before the CPU. Whoever asks for nothing should get the same faces, soon, and
#: so none of the others: TensorRT may build its engine for minutes, OpenVINO may choose another
#: precision, and of CANN wrong results were reported (on Atlas 200 DK).
AUTOMATIC = ('cuda',)


class OnnxRuntimeBackend:
    """An .onnx file in an ONNX Runtime session.

    Args:
        model: the network that the file should hold; None: whichever it does.
        file: the .onnx file.
        device: 'auto' (CUDA where it works, else the CPU), 'cpu', or one of `ACCELERATORS`, as in
            'cuda', 'cuda:1', 'openvino:GPU'.
        threads: of the network on the CPU; 0: as many as help, at most one a core.

    Raises:
        BackendError: if onnxruntime is not installed, or cannot run on the device.
        ConfigurationError: if the device is unknown.
        ModelError: if the file cannot be read, is not such a network, or takes only batches of
            some size.
    """

    def __init__(self, model: Model | None, file: Path, *, device: str, threads: int) -> None:
        asked = _parse(device)
        try:
            import onnxruntime
        except ImportError as error:
            raise BackendError(
                "backend 'onnxruntime' needs the Python package onnxruntime "
                f"({error}): pip install onnxruntime"
            ) from error

        def options(threads: int) -> Any:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            # By default ONNX Runtime's idle threads spin for a while after each run, which at
            # camera rates keeps whole cores busy.
            options.add_session_config_entry('session.intra_op.allow_spinning', '0')
            options.add_session_config_entry('session.inter_op.allow_spinning', '0')
            options.log_severity_level = 3  # errors come as exceptions, with the same text
            return options

        threads = useful_threads(threads)
        available = onnxruntime.get_available_providers()
        if device == 'auto':
            asked = [(name, choice) for name, choice in asked if name.provider in available]
        for accelerator, _ in asked:
            if accelerator.provider not in available:
                raise BackendError(
                    f"device '{device}' needs {accelerator.provider}, and the installed ONNX "
                    f'Runtime {onnxruntime.__version__} has only {", ".join(available)}: pip '
                    f'install {accelerator.package} in place of onnxruntime'
                )
        make = onnxruntime.InferenceSession
        self._session, provider, failure = _open(make, file, options(threads), asked)
        if provider == CPU and asked and device != 'auto':
            raise BackendError(
                f"device '{device}' was asked for, but {CPU} would run the network, as "
                f"{asked[0][0].provider} does not start ({failure or 'its log lines say why'}): is "
                "the device there, are its driver and libraries? Or use device 'auto' or 'cpu'"
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
        """Tell the network by its shapes, and the outputs by their last dimensions."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != 'tensor(float)':
            raise ModelError(
                f"model file '{file}' has the inputs "
                f'{[(i.name, i.type, i.shape) for i in inputs]}; wanted is one of float32'
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
                f"model file '{file}' takes {self._batch_size} pictures at once and no other "
                'number: convert it with --batch dynamic'
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
            # On a CPU the tensors of a batch leave the caches, and threads inside so small a
            # network wait for one another after each layer: one by one, side by side, is faster.
            run = partial(self._one_thread.run, self._outputs)
            pictures = [{self._input: picture[None]} for picture in batch]
            if self._pool is None:
                parts = [run(picture) for picture in pictures]
            else:
                runs = [self._pool.submit(run, picture) for picture in pictures]
                wait(runs)  # for all, also if one fails: none may go on unseen, or hang
                parts = [one.result() for one in runs]
            coordinates, logits = map(np.concatenate, zip(*parts))
        except Exception as error:
            raise BackendError(f'ONNX Runtime could not run the network: {error}') from error
        return coordinates, logits

    def close(self) -> None:
        """See `Backend.close`; the sessions go with their last references."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)


def _parse(device: str) -> list[tuple[_Accelerator, str]]:
    """What to try before the CPU: which accelerator, and which of its devices ('': its first).

    Raises:
        ConfigurationError: if there is no such device name.
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
        The session, the provider that really runs it, and the last accelerator's error, if it told.

    Raises:
        ModelError: if not even the CPU can read the file.
    """
    failure = None
    for accelerator, choice in asked:
        provider = accelerator.provider, {accelerator.option: choice} if choice else {}
        try:
            # ONNX Runtime's own fallback would print to the standard output, and go on.
            session = make(str(file), options, providers=[provider, CPU], enable_fallback=0)
        except Exception as error:  # onnxruntime's own classes share no public base
            failure = error
            continue
        # It may have left out the provider without an error.
        if (running := session.get_providers()[0]) == accelerator.provider:
            return session, running, None
    try:
        return make(str(file), options, providers=[CPU]), CPU, failure
    except Exception as error:
        raise ModelError(f"model file '{file}' is not a readable ONNX file: {error}") from error
