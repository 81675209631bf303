"""The graph and the constants of a .tflite file, read without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tflite
from tflite.ActivationFunctionType import ActivationFunctionType
from tflite.BuiltinOperator import BuiltinOperator
from tflite.Padding import Padding
from tflite.TensorType import TensorType

from blazeface_ros.errors import ModelError
from blazeface_ros.models.tflite_sparse import densify

OPERATOR_NAMES: dict[int, str] = {
    value: name for name, value in vars(BuiltinOperator).items() if isinstance(value, int)
}
NUMPY_TYPES = {
    TensorType.FLOAT32: np.float32,
    TensorType.FLOAT16: np.float16,
    TensorType.INT32: np.int32,
}

#: Operators that only unpack a constant.
UNPACKING = ('DENSIFY', 'DEQUANTIZE')
CONVOLUTIONS = {
    'CONV_2D': tflite.Conv2DOptions,
    'DEPTHWISE_CONV_2D': tflite.DepthwiseConv2DOptions,
}
#: The other operators of these networks: the class of their options, and the options that have the
#: same value in all networks.
OPERATORS: dict[str, tuple[Any, dict[str, int]]] = {
    'ADD': (tflite.AddOptions, {}),
    'CONCATENATION': (tflite.ConcatenationOptions, {'Axis': 1}),
    'DEPTH_TO_SPACE': (tflite.DepthToSpaceOptions, {'BlockSize': 2}),
    'MAX_POOL_2D': (
        tflite.Pool2DOptions,
        {'FilterHeight': 2, 'FilterWidth': 2, 'StrideH': 2, 'StrideW': 2},
    ),
    'PAD': (None, {}),
    'RELU': (None, {}),
    'RESHAPE': (None, {}),
    'RESIZE_BILINEAR': (
        tflite.ResizeBilinearOptions,
        {'AlignCorners': False, 'HalfPixelCenters': True},
    ),
}
#: Limits far above what these networks have, so that a damaged length does not read forever.
MOST_OPERATORS = 2000
MOST_INPUTS = 4

Shape = tuple[int, ...]


class Operation(NamedTuple):
    """An operator as PyTorch sees it: an activation stands alone, padding belongs to a convolution.

    Attributes:
        kind: the name of the operator.
        inputs: the numbers of the tensors it takes, without constants.
        output: the number of the tensor it makes; -1 - i if an activation follows that makes
            tensor i of it.
        settings: the other values that decide about its result, in PyTorch's terms.
        constants: the numbers of the tensors with its weights.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    settings: dict[str, Any]
    constants: tuple[int, ...]


class TfliteFile:
    """The graph and the constants of a .tflite file.

    With a damaged file, every method may raise exceptions of any class. The text of a `ModelError`
    raised here continues a sentence that begins with the name of the file; `named_errors` completes
    both.

    Args:
        data: the bytes of the file.

    Attributes:
        inputs, outputs: the numbers of the graph's input and output tensors.

    Raises:
        ModelError: if these are not the bytes of a .tflite file.
    """

    def __init__(self, data: bytes) -> None:
        if data[4:8] != b'TFL3':
            raise ModelError("is not a .tflite file: the mark 'TFL3' is missing")
        self._model = tflite.Model.GetRootAsModel(data, 0)
        self._graph = self._model.Subgraphs(0)
        count = self._graph.OperatorsLength()
        if count > MOST_OPERATORS:
            raise ModelError(f'has {count} operators, far more than any of these networks')
        # The unpacking operators, by the number of the constant that they make.
        self._unpacked: dict[int, tflite.Operator] = {}
        self._operators: list[tflite.Operator] = []
        for i in range(count):
            item = self._graph.Operators(i)
            kind = self._kind(item)
            if item.OutputsLength() != 1 or not 1 <= item.InputsLength() <= MOST_INPUTS:
                raise ModelError(
                    f'has a {kind} with {item.InputsLength()} inputs and '
                    f'{item.OutputsLength()} outputs, which no network here has'
                )
            if kind in UNPACKING:
                self._unpacked[item.Outputs(0)] = item
            else:
                self._operators.append(item)
        self.inputs: list[int] = self._graph.InputsAsNumpy().tolist()
        self.outputs: list[int] = self._graph.OutputsAsNumpy().tolist()

    def input_shape(self) -> Shape:
        """The shape of the first input, with the batch: NHWC."""
        return tuple(self._graph.Tensors(self.inputs[0]).ShapeAsNumpy().tolist())

    def tensor_name(self, tensor: int) -> str:
        """The number and the name of a tensor, for messages."""
        tensor = tensor if tensor >= 0 else -1 - tensor
        # A converter that fuses operators joins all their names.
        name: str = self._graph.Tensors(tensor).Name().decode().split(';')[-1]
        return f"{tensor} ('{name}')"

    def _kind(self, item: tflite.Operator) -> str:
        code = self._model.OperatorCodes(item.OpcodeIndex())
        # Files older than schema 3a have the number in the older, narrower field only.
        number: int = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        return OPERATOR_NAMES.get(number, f'operator {number}')

    def operations(self) -> Iterator[Operation]:
        """The operators of the graph in the order of the file.

        Raises:
            ModelError: if there is an operator or an option that none of the networks has.
        """
        # All other tensors are constants.
        computed = {*self.inputs, *(item.Outputs(0) for item in self._operators)}
        padded: dict[int, tuple[int, list[list[int]]]] = {}
        for item in self._operators:
            kind, output = self._kind(item), item.Outputs(0)
            ins = item.InputsAsNumpy().tolist()
            inputs = tuple(tensor for tensor in ins if tensor in computed)
            constants = tuple(tensor for tensor in ins if tensor not in computed)
            settings: dict[str, Any] = {}
            options = self._options(kind, item, output)
            if kind == 'PAD':
                pads = self.constant(constants[0], (4, 2)).astype(int).tolist()
                if any(map(any, pads[1:3])):
                    padded[output] = inputs[0], pads
                    continue
                settings['pads'] = pads
            if kind in CONVOLUTIONS:
                same = options.Padding() == Padding.SAME
                stride = options.StrideH(), options.StrideW()
                settings = {'stride': stride, 'same': same, 'pads': [[0, 0]] * 4}
                if inputs[0] in padded:
                    source, settings['pads'] = padded[inputs[0]]
                    inputs = (source,)
            activation = (
                options.FusedActivationFunction()
                if hasattr(options, 'FusedActivationFunction')
                else ActivationFunctionType.NONE
            )
            if activation == ActivationFunctionType.NONE:
                yield Operation(kind, inputs, output, settings, constants)
            elif activation == ActivationFunctionType.RELU:
                yield Operation(kind, inputs, -1 - output, settings, constants)
                yield Operation('RELU', (-1 - output,), output, {}, ())
            else:
                raise ModelError(
                    f'has the activation {activation} at tensor {self.tensor_name(output)}, '
                    'where these networks have only ReLU'
                )

    def _options(self, kind: str, item: tflite.Operator, output: int) -> Any:
        """The options of an operator, after a check of those that all networks have in common."""
        if kind in CONVOLUTIONS:
            options_class: Any = CONVOLUTIONS[kind]
            fixed = {'DilationHFactor': 1, 'DilationWFactor': 1}
        elif kind in OPERATORS:
            options_class, fixed = OPERATORS[kind]
        else:
            raise ModelError(
                f'is another network: tensor {self.tensor_name(output)} comes from {kind}'
            )
        if options_class is None:
            return None
        options = options_class()
        table = item.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        for name, wanted in fixed.items():
            found = getattr(options, name)()
            if found != wanted:
                raise ModelError(
                    f'is another network: {kind} at tensor {self.tensor_name(output)} has '
                    f'{name} {found}, wanted {wanted}'
                )
        return options

    def constant(self, tensor: int, shape: Shape) -> npt.NDArray[np.float32]:
        """A constant as float32, unpacked where DENSIFY or DEQUANTIZE make it.

        Args:
            tensor: the number of the tensor.
            shape: the shape it must have. Nothing larger is read or allocated.

        Raises:
            ModelError: if the tensor is not a constant of numbers, or has another shape.
        """
        packed = self._unpacked.get(tensor)
        if packed is not None:
            return self.constant(packed.Inputs(0), shape)
        entry = self._graph.Tensors(tensor)
        found = tuple(entry.ShapeAsNumpy().tolist()) if entry.ShapeLength() <= 4 else ()
        if found != shape:
            raise ModelError(
                f'is another network: tensor {self.tensor_name(tensor)} is {list(found)}, '
                f'wanted {list(shape)}'
            )
        kind = NUMPY_TYPES.get(entry.Type())
        data = self._model.Buffers(entry.Buffer()).DataAsNumpy()
        if kind is None or isinstance(data, int) or data.nbytes % np.dtype(kind).itemsize:
            raise ModelError(
                f'has no numbers of 16 or 32 bits in tensor {self.tensor_name(tensor)}'
            )
        values: npt.NDArray[np.float32] = data.view(kind).astype(np.float32)
        sparsity = entry.Sparsity()
        if sparsity is not None:
            values = densify(values, sparsity, shape)
        if values.size != np.prod(shape) or not np.isfinite(values).all():
            raise ModelError(
                f'has {values.size} numbers in tensor {self.tensor_name(tensor)}, '
                f'wanted {list(shape)} of them, all finite'
            )
        return values.reshape(shape)


@contextmanager
def named_errors(file: Path) -> Iterator[None]:
    """Raise each error in this block, of any class, as a `ModelError` that names the file."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"'{file}' {error}") from error
    except OSError as error:
        raise ModelError(f"'{file}' cannot be read: {error}") from error
    except Exception as error:  # flatbuffers raises exceptions of any class on damaged offsets
        raise ModelError(f"'{file}' is damaged, fetch it again: {error!r}") from error


def input_size(file: Path) -> int:
    """The width of the input of a .tflite file in pixels.

    Raises:
        ModelError: if the file is missing or damaged, or does not take one square RGB picture.
    """
    with named_errors(file):
        shape = TfliteFile(file.read_bytes()).input_shape()
        if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
            raise ModelError(f'is another network: its input is {list(shape)}, wanted [1, S, S, 3]')
        return shape[1]
