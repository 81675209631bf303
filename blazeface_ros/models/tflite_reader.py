"""Reads BlazeFace weights out of MediaPipe's .tflite files, without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tflite
import torch
from tflite.BuiltinOperator import BuiltinOperator
from tflite.TensorType import TensorType
from torch import nn

from blazeface_ros.errors import ModelError
from blazeface_ros.models.networks import convolutions

OPERATOR_NAMES = {
    value: name for name, value in vars(BuiltinOperator).items() if isinstance(value, int)
}
NUMPY_TYPES = {TensorType.FLOAT32: np.float32, TensorType.FLOAT16: np.float16}


class TfliteFile:
    """The operators and constants of a .tflite file.

    Args:
        file: the file.

    Raises:
        ModelError: if it cannot be read as a .tflite file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        data = file.read_bytes()
        if data[4:8] != b'TFL3':
            raise ModelError(f"'{file}' is not a .tflite file: the mark 'TFL3' is missing")
        try:
            self._model = tflite.Model.GetRootAsModel(data, 0)
            self._graph = self._model.Subgraphs(0)
            self.operators = [
                self._graph.Operators(i) for i in range(self._graph.OperatorsLength())
            ]
            self._producers = {
                int(tensor): operator
                for operator in self.operators
                for tensor in operator.OutputsAsNumpy()
            }
        except Exception as error:  # flatbuffers raise whatever the damaged offsets lead to
            raise ModelError(f"'{file}' is damaged: {error}") from error

    def operator_name(self, operator: tflite.Operator) -> str:
        """An operator's name, such as CONV_2D."""
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        # Files before schema 3a hold the number in the older, narrower field only.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        return OPERATOR_NAMES.get(number, f'operator {number}')

    def constant(self, tensor_index: int) -> npt.NDArray[np.float32]:
        """A constant as float32, through DEQUANTIZE if it is kept as float16.

        Raises:
            ModelError: if the tensor is not such a constant, or the file is cut short.
        """
        producer = self._producers.get(tensor_index)
        if producer is not None:
            if self.operator_name(producer) != 'DEQUANTIZE':
                raise ModelError(
                    f"'{self.file}': weights come from {self.operator_name(producer)}, "
                    'which is unknown here'
                )
            return self.constant(int(producer.Inputs(0)))
        tensor = self._graph.Tensors(tensor_index)
        shape = tensor.ShapeAsNumpy()
        kind = NUMPY_TYPES.get(tensor.Type())
        buffer = self._model.Buffers(tensor.Buffer()).DataAsNumpy()
        wanted = int(np.prod(shape)) * np.dtype(kind).itemsize
        if kind is None or isinstance(buffer, int) or buffer.nbytes != wanted:
            raise ModelError(
                f"'{self.file}': tensor {tensor_index} ({tensor.Name().decode()}) should hold "
                f'{list(shape)} numbers of 16 or 32 bits and does not'
            )
        return buffer.view(kind).reshape(shape).astype(np.float32)


def load_weights(network: nn.Module, file: Path) -> None:
    """Fill a network with the weights of a .tflite file.

    Args:
        network: one of `networks`; its convolutions stand in the file's order.
        file: the .tflite file.

    Raises:
        ModelError: if the file is damaged or another network; names the first difference.
    """
    source = TfliteFile(file)
    wanted = list(convolutions(network))
    found = [
        operator
        for operator in source.operators
        if source.operator_name(operator) in ('CONV_2D', 'DEPTHWISE_CONV_2D')
    ]
    for (name, module), operator in zip(wanted, found):
        kernel = source.constant(int(operator.Inputs(1)))
        bias = source.constant(int(operator.Inputs(2)))
        # CONV_2D: [out, height, width, in]; DEPTHWISE_CONV_2D: [1, height, width, channels].
        depthwise = source.operator_name(operator) == 'DEPTHWISE_CONV_2D'
        kernel = kernel.transpose(3, 0, 1, 2) if depthwise else kernel.transpose(0, 3, 1, 2)
        if kernel.shape != module.weight.shape or bias.shape != (module.out_channels,):
            raise ModelError(
                f"'{file}' is another network: its {source.operator_name(operator)} at the place "
                f'of {name} has weights {list(kernel.shape)}, wanted {list(module.weight.shape)}'
            )
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
            assert module.bias is not None
            module.bias.copy_(torch.from_numpy(bias))
    if len(found) != len(wanted):
        raise ModelError(
            f"'{file}' is another network: it has {len(found)} convolutions, wanted {len(wanted)}"
        )
