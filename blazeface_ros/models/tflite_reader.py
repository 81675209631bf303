"""Reads BlazeFace weights out of MediaPipe's .tflite files, without TensorFlow.

The network and the file's graph are walked side by side, from the input to the outputs. Each step
of the network takes the operator that does the same to the same tensors, and with it the weights:
a file loads only if its whole graph is the network's.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tflite
import torch
from tflite.ActivationFunctionType import ActivationFunctionType
from tflite.BuiltinOperator import BuiltinOperator
from tflite.DimensionType import DimensionType
from tflite.Padding import Padding
from tflite.SparseIndexVector import SparseIndexVector
from tflite.TensorType import TensorType
from torch import fx, nn
from torch.nn import functional

from blazeface_ros.errors import ModelError
from blazeface_ros.models.networks import Convolution, depth_to_space, same_padding, trace

OPERATOR_NAMES: dict[int, str] = {
    value: name for name, value in vars(BuiltinOperator).items() if isinstance(value, int)
}
NUMPY_TYPES = {
    TensorType.FLOAT32: np.float32,
    TensorType.FLOAT16: np.float16,
    TensorType.INT32: np.int32,
}
INDEX_VECTORS = {
    SparseIndexVector.Int32Vector: tflite.Int32Vector,
    SparseIndexVector.Uint16Vector: tflite.Uint16Vector,
    SparseIndexVector.Uint8Vector: tflite.Uint8Vector,
}

#: Operators that only unpack a constant.
UNPACKING = ('DENSIFY', 'DEQUANTIZE')
CONVOLUTIONS = {
    'CONV_2D': tflite.Conv2DOptions,
    'DEPTHWISE_CONV_2D': tflite.DepthwiseConv2DOptions,
}
#: All other operators of these networks, and the options that are the same wherever they stand.
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
#: The operator that each step of a network's forward stands for.
STEPS: dict[Any, str] = {
    functional.relu: 'RELU',
    functional.max_pool2d: 'MAX_POOL_2D',
    functional.pad: 'PAD',
    functional.interpolate: 'RESIZE_BILINEAR',
    operator.add: 'ADD',
    torch.cat: 'CONCATENATION',
    depth_to_space: 'DEPTH_TO_SPACE',
    'reshape': 'RESHAPE',
}
#: Far above what these networks have: a damaged length must not keep us reading.
MOST_OPERATORS = 2000
MOST_INPUTS = 4

Shape = tuple[int, ...]


class Operation(NamedTuple):
    """An operator in the terms of the networks: activation apart, padding part of a convolution.

    Attributes:
        kind: the operator's name.
        inputs: the tensors it works on, without constants.
        output: the tensor it makes; -1 - i if the activation that follows makes tensor i.
        settings: what else decides about its result, in PyTorch's terms.
        constants: the tensors with its weights.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    settings: dict[str, Any]
    constants: tuple[int, ...]


class TfliteFile:
    """The graph and the constants of a .tflite file.

    A damaged one may raise exceptions of any kind in any method; a `ModelError` here is what is
    to be said after the file's name.

    Args:
        data: the file's bytes.

    Raises:
        ModelError: if it is no such file.
    """

    def __init__(self, data: bytes) -> None:
        if data[4:8] != b'TFL3':
            raise ModelError("is not a .tflite file: the mark 'TFL3' is missing")
        self._model = tflite.Model.GetRootAsModel(data, 0)
        self._graph = self._model.Subgraphs(0)
        count = self._graph.OperatorsLength()
        if count > MOST_OPERATORS:
            raise ModelError(f'has {count} operators, far more than any of these networks')
        self._unpacked = {}  # what makes a constant, by the tensor it makes
        self._operators = []
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
        """Of the first input, with the batch; NHWC."""
        return tuple(self._graph.Tensors(self.inputs[0]).ShapeAsNumpy().tolist())

    def tensor_name(self, tensor: int) -> str:
        """A tensor's name and number, for messages."""
        tensor = tensor if tensor >= 0 else -1 - tensor
        # A converter that fuses operators strings all their names together.
        name: str = self._graph.Tensors(tensor).Name().decode().split(';')[-1]
        return f"{tensor} ('{name}')"

    def _kind(self, item: tflite.Operator) -> str:
        code = self._model.OperatorCodes(item.OpcodeIndex())
        # Files before schema 3a hold the number in the older, narrower field only.
        number: int = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        return OPERATOR_NAMES.get(number, f'operator {number}')

    def operations(self) -> Iterator[Operation]:
        """The graph, in the file's order.

        Raises:
            ModelError: if it has an operator or option that none of the networks has.
        """
        # Constants are what neither comes in nor is computed.
        flowing = {*self.inputs, *(item.Outputs(0) for item in self._operators)}
        padded: dict[int, tuple[int, list[list[int]]]] = {}
        for item in self._operators:
            kind, output = self._kind(item), item.Outputs(0)
            ins = item.InputsAsNumpy().tolist()
            inputs = tuple(tensor for tensor in ins if tensor in flowing)
            constants = tuple(tensor for tensor in ins if tensor not in flowing)
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
        """The options of an operator, checked as far as they are fixed."""
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
        """A constant as float32, through DENSIFY and DEQUANTIZE where it is kept packed.

        Args:
            tensor: its number.
            shape: that it must have; nothing larger is ever read or made.

        Raises:
            ModelError: if it is not such a constant.
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
                f'holds {values.size} numbers in tensor {self.tensor_name(tensor)}, '
                f'wanted {list(shape)} of them, all finite'
            )
        return values.reshape(shape)


def densify(
    values: npt.NDArray[np.float32], sparsity: tflite.SparsityParameters, shape: Shape
) -> npt.NDArray[np.float32]:
    """Put the values of a sparse tensor in their places, zeros elsewhere.

    The format: TensorFlow Lite's schema, `SparsityParameters`. A tensor is a tree with one level
    for each dimension and, below them, for each dimension of the blocks it may be stored in. A
    dense level has all places of its dimension under each node, a compressed (CSR) one only the
    places listed: those under node i are `indices[segments[i] : segments[i + 1]]`. The leaves are
    the values.

    Args:
        values: float32 [K], in the order of the tree.
        sparsity: the tree's levels.
        shape: of the dense tensor.

    Returns:
        float32 of that shape.
    """
    order = sparsity.TraversalOrderAsNumpy().tolist()
    blocked = [] if sparsity.BlockMapIsNone() else sparsity.BlockMapAsNumpy().tolist()
    levels = [sparsity.DimMetadata(i) for i in range(sparsity.DimMetadataLength())]
    rank = len(shape)
    if len(levels) != rank + len(blocked) or sorted(order) != list(range(len(levels))):
        raise ModelError('has a sparse tensor whose levels do not fit its dimensions')
    block = {dimension: rank + i for i, dimension in enumerate(blocked)}
    block_level = {dimension: levels[order.index(i)] for dimension, i in block.items()}
    if any(level.Format() != DimensionType.DENSE for level in block_level.values()):
        raise ModelError('has a sparse tensor whose blocks are sparse themselves')

    places = np.zeros((1, len(levels)), np.int64)  # of the nodes of one level, as the tree grows
    for level, dimension in zip(levels, order):
        if level.Format() == DimensionType.DENSE:
            dense = level.DenseSize()
            if not 0 < dense * len(places) <= np.prod(shape):
                raise ModelError(f'has a sparse tensor with more places than {list(shape)}')
            counts = np.full(len(places), dense)
            under = np.tile(np.arange(dense), len(places))
        else:
            segments = _index_vector(level.ArraySegmentsType(), level.ArraySegments())
            under = _index_vector(level.ArrayIndicesType(), level.ArrayIndices())
            counts = np.diff(segments)
            # np.repeat refuses segments that run backwards.
            if segments[0] != 0 or segments[-1] != len(under):
                raise ModelError('has a sparse tensor whose segments do not fit its indices')
        places = np.repeat(places, counts, axis=0)
        places[:, dimension] = under

    for dimension, level in block_level.items():
        places[:, dimension] *= level.DenseSize()
        places[:, dimension] += places[:, block[dimension]]
    dense_values = np.zeros(shape, np.float32)
    if len(values) != len(places) or (places < 0).any() or (places[:, :rank] >= shape).any():
        raise ModelError(f'has a sparse tensor whose places do not fit {list(shape)}')
    dense_values[tuple(places[:, :rank].T)] = values
    return dense_values


def _index_vector(kind: int, table: Any) -> npt.NDArray[np.int64]:
    vector = INDEX_VECTORS[kind]()
    vector.Init(table.Bytes, table.Pos)
    values: npt.NDArray[np.int64] = vector.ValuesAsNumpy().astype(np.int64)
    return values


@contextmanager
def _named_errors(file: Path) -> Iterator[None]:
    """Say which file an error is about, whatever a damaged one leads to."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"'{file}' {error}") from error
    except OSError as error:
        raise ModelError(f"'{file}' cannot be read: {error}") from error
    except Exception as error:  # flatbuffers raise whatever the damaged offsets lead to
        raise ModelError(f"'{file}' is damaged, fetch it again: {error!r}") from error


def input_size(file: Path) -> int:
    """The width of a .tflite file's input in pixels.

    Raises:
        ModelError: if the file is missing, damaged, or has no one square RGB picture as input.
    """
    with _named_errors(file):
        shape = TfliteFile(file.read_bytes()).input_shape()
        if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
            raise ModelError(f'is another network: its input is {list(shape)}, wanted [1, S, S, 3]')
        return shape[1]


def load_weights(network: nn.Module, file: Path) -> None:
    """Fill a network with the weights of a .tflite file.

    Args:
        network: one of `networks`.
        file: the .tflite file.

    Raises:
        ModelError: if the file is missing, damaged or another network; names the first difference
            from the input on. The network is then as it was.
    """
    steps = trace(network)
    with _named_errors(file):
        weights = list(_find_weights(network, steps, TfliteFile(file.read_bytes())))
    with torch.no_grad():
        for parameter, values in weights:
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def _find_weights(
    network: nn.Module, steps: fx.Graph, source: TfliteFile
) -> Iterator[tuple[torch.Tensor, npt.NDArray[np.float32]]]:
    """The network's parameters and the file's values of each."""
    remaining = list(source.operations())
    tensors: dict[fx.Node, int] = {}  # what each step makes, in the file's numbers
    for step in steps.nodes:
        inputs = [tensors[node] for node in step.all_input_nodes if node in tensors]
        if step.op == 'placeholder' and len(source.inputs) == 1:
            tensors[step] = source.inputs[0]
        elif step.target == 'permute':  # TensorFlow's channels stand last already
            tensors[step] = inputs[0]
        elif step.op == 'call_module':
            module = network.get_submodule(str(step.target))
            assert isinstance(module, Convolution) and module.bias is not None
            kind = 'CONV_2D' if module.groups == 1 else 'DEPTHWISE_CONV_2D'
            found = _take(remaining, kind, inputs, str(step.target), source)
            _check_convolution(module, found, source)
            tensors[step] = found.output
            yield module.weight, _kernel(module, found, source)
            yield module.bias, source.constant(found.constants[1], tuple(module.bias.shape))
        elif step.target in STEPS:
            found = _take(remaining, STEPS[step.target], inputs, step.name, source)
            tensors[step] = found.output
            if step.target is functional.pad:
                # PyTorch counts (begin, end) pairs from the last dimension: channels stand first
                # of three there, last here.
                padding: Any = step.args[1]
                pads = [[0, 0]] * 3 + [list(padding[4:])]
                _check('pads', found.settings['pads'], pads, found, source)
        elif step.op == 'output' and sorted(inputs) != sorted(source.outputs):
            names = ', '.join(map(source.tensor_name, source.outputs))
            raise ModelError(f'is another network: its outputs are {names}')
    for extra in remaining:
        name = source.tensor_name(extra.output)
        raise ModelError(f'is another network: {extra.kind} at tensor {name} is not in it')


def _take(
    remaining: list[Operation], kind: str, inputs: list[int], place: str, source: TfliteFile
) -> Operation:
    """The first operator of this kind on these tensors, which is then no longer remaining.

    Where several would do (the heads on one tensor), the networks follow the file's order.
    """
    on_these = [item for item in remaining if sorted(item.inputs) == sorted(inputs)]
    for item in on_these:
        # A sum is the same either way round.
        if item.kind == kind and (kind == 'ADD' or list(item.inputs) == inputs):
            remaining.remove(item)
            return item
    names = ' and '.join(map(source.tensor_name, inputs))
    kinds = ', '.join(item.kind for item in on_these) or 'nothing'
    raise ModelError(
        f'is another network: tensor {names} goes into {kinds}, wanted {kind} ({place})'
    )


def _check_convolution(module: Convolution, found: Operation, source: TfliteFile) -> None:
    _check('stride', found.settings['stride'], tuple(module.stride), found, source)
    left, right, top, bottom = module.uneven_padding or (int(module.padding[0]),) * 4
    pads = [list(pair) for pair in found.settings['pads']]
    if found.settings['same']:
        more = same_padding(int(module.kernel_size[0]), int(module.stride[0]))
        pads[1] = [pads[1][0] + more[2], pads[1][1] + more[3]]
        pads[2] = [pads[2][0] + more[0], pads[2][1] + more[1]]
    _check('padding', pads, [[0, 0], [top, bottom], [left, right], [0, 0]], found, source)


def _check(what: str, found: Any, wanted: Any, item: Operation, source: TfliteFile) -> None:
    if found != wanted:
        raise ModelError(
            f'is another network: {item.kind} at tensor {source.tensor_name(item.output)} has '
            f'{what} {found}, wanted {wanted}'
        )


def _kernel(
    module: Convolution, found: Operation, source: TfliteFile
) -> npt.NDArray[np.float32]:
    """The weights in PyTorch's order [outputs, inputs / groups, height, width]."""
    outputs, inputs, height, width = module.weight.shape
    if found.kind == 'DEPTHWISE_CONV_2D':
        shape = (1, height, width, outputs)
        return source.constant(found.constants[0], shape).transpose(3, 0, 1, 2)
    shape = (outputs, height, width, inputs)
    return source.constant(found.constants[0], shape).transpose(0, 3, 1, 2)
