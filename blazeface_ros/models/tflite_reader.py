"""Reads BlazeFace weights from MediaPipe's .tflite files.

The steps of the network and the operators of the file are compared side by side, from the input to
the outputs. Each step needs an operator that does the same to the same tensors, and takes its
weights from it. A file is accepted only if its whole graph is that of the network.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn
from torch.nn import functional

from blazeface_ros.errors import ModelError
from blazeface_ros.models.networks import Convolution, depth_to_space, same_padding, trace
from blazeface_ros.models.tflite_file import Operation, TfliteFile, named_errors

#: The operator for each step of a network's forward.
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


def load_weights(network: nn.Module, file: Path) -> None:
    """Fill a network with the weights of a .tflite file.

    Args:
        network: a network of `make_network`.
        file: the .tflite file.

    Raises:
        ModelError: if the file is missing or damaged or holds another network. The text names the
            first difference, counted from the input. The network is not changed then.
    """
    steps = trace(network)
    with named_errors(file):
        weights = list(_find_weights(network, steps, TfliteFile(file.read_bytes())))
    with torch.no_grad():
        for parameter, values in weights:
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def _find_weights(
    network: nn.Module, steps: fx.Graph, source: TfliteFile
) -> Iterator[tuple[torch.Tensor, npt.NDArray[np.float32]]]:
    """Pairs of a parameter of the network and its values in the file."""
    remaining = list(source.operations())
    tensors: dict[fx.Node, int] = {}  # the number in the file of the tensor that a step makes
    for step in steps.nodes:
        inputs = [tensors[node] for node in step.all_input_nodes if node in tensors]
        if step.op == 'placeholder' and len(source.inputs) == 1:
            tensors[step] = source.inputs[0]
        elif step.target == 'permute':  # in TensorFlow the channels come last already
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
                # PyTorch lists (begin, end) pairs from the last dimension backwards. In PyTorch the
                # channels are the first of three dimensions, in TensorFlow the last.
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
    """Remove the first operator of this kind on these tensors from the remaining ones.

    Where several fit (the heads on one tensor), the steps of the networks have the same order as
    the operators of the file.

    Returns:
        The operator.

    Raises:
        ModelError: if there is none; the text names what stands in its place.
    """
    on_these = [item for item in remaining if sorted(item.inputs) == sorted(inputs)]
    for item in on_these:
        # The order of the inputs does not matter for a sum.
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


def _kernel(module: Convolution, found: Operation, source: TfliteFile) -> npt.NDArray[np.float32]:
    """The weights as PyTorch has them: float32 [outputs, inputs / groups, height, width]."""
    outputs, inputs, height, width = module.weight.shape
    if found.kind == 'DEPTHWISE_CONV_2D':
        shape = (1, height, width, outputs)
        return source.constant(found.constants[0], shape).transpose(3, 0, 1, 2)
    shape = (outputs, height, width, inputs)
    return source.constant(found.constants[0], shape).transpose(0, 3, 1, 2)
