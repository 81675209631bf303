"""ONNX Runtime: the backend that runs everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from blazeface_ros.backends.cores import useful_threads
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError
from blazeface_ros.models.catalogue import COORDINATES, ONNX_MODEL, Model, check_network

Array = npt.NDArray[np.float32]


class OnnxRuntimeBackend:
    """An .onnx file in an ONNX Runtime session on the CPU.

    Args:
        model: the network that the file should hold; None: whichever it does.
        file: the .onnx file.
        device: 'auto' or 'cpu'.
        threads: of the network; 0: as many as help, at most one a core.

    Raises:
        BackendError: if onnxruntime is not installed.
        ConfigurationError: if the device is unknown.
        ModelError: if the file cannot be read, or is not such a network.
    """

    def __init__(self, model: Model | None, file: Path, *, device: str, threads: int) -> None:
        if device not in ('auto', 'cpu'):
            raise ConfigurationError(
                f"device '{device}' is unknown to backend 'onnxruntime'; there are: auto, cpu"
            )
        try:
            import onnxruntime
        except ImportError as error:
            raise BackendError(
                "backend 'onnxruntime' needs the Python package onnxruntime "
                f"({error}): pip install onnxruntime"
            ) from error

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = useful_threads(threads)
        options.inter_op_num_threads = 1
        # By default ONNX Runtime's idle threads spin for a while after each run, which at camera
        # rates keeps whole cores busy.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        options.add_session_config_entry('session.inter_op.allow_spinning', '0')
        options.log_severity_level = 3  # errors come as exceptions, with the same text
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=['CPUExecutionProvider']
            )
        except Exception as error:  # onnxruntime's own classes share no public base
            raise ModelError(f"model file '{file}' is not a readable ONNX file: {error}") from error
        self.model = self._check(file, model)
        provider = self._session.get_providers()[0]
        self.description = f'ONNX Runtime {onnxruntime.__version__}, {provider}'

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
        self._input = inputs[0].name
        names = {output.shape[-1]: output.name for output in outputs}
        self._outputs = [names[COORDINATES], names[1]]
        return model

    def infer(self, batch: Array) -> tuple[Array, Array]:
        """See `Backend.infer`."""
        try:
            coordinates, logits = self._session.run(self._outputs, {self._input: batch})
        except Exception as error:
            raise BackendError(f'ONNX Runtime could not run the network: {error}') from error
        return coordinates, logits

    def close(self) -> None:
        """See `Backend.close`; the session goes with its last reference."""
