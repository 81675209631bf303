"""Translates a network to ONNX: one node for each step of its `forward`.

PyTorch's own exporters do not fit: the current one writes opset 18 and later only, while Ascend's
compiler takes 11 to 18. The older one is deprecated and writes a dozen nodes for each padding,
although the Conv of ONNX has uneven padding.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional

from blazeface_ros.models.networks import Convolution, depth_to_space, trace

INPUT_NAME = 'input'
OUTPUT_NAMES = ('coordinates', 'logits')


class _Graph:
    """The ONNX nodes and constants that were translated so far."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: Any, dtype: type = np.int64) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def add(self, step: fx.Node) -> None:
        """Translate one step of the network."""
        if step.op == 'call_module':
            self._convolution(step)
        elif step.op in ('call_function', 'call_method'):
            _STEPS[step.target](self, step)

    def node(self, kind: str, step: fx.Node, inputs: Sequence[str], **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [step.name], step.name, **attributes))

    def _convolution(self, step: fx.Node) -> None:
        name = str(step.target)
        module = self.network.get_submodule(name)
        assert isinstance(module, Convolution) and module.bias is not None
        weights = [
            self.constant(f'{name}.{part}', values.detach().numpy(), np.float32)
            for part, values in (('weight', module.weight), ('bias', module.bias))
        ]
        uneven = module.uneven_padding
        left, right, top, bottom = uneven or (int(module.padding[0]),) * 4
        self.node(
            'Conv',
            step,
            [_name(step.args[0]), *weights],
            kernel_shape=module.kernel_size,
            strides=module.stride,
            pads=[top, left, bottom, right],
            group=module.groups,
        )

    def max_pool(self, step: fx.Node) -> None:
        widened = any(user.target is functional.pad for user in step.users)
        pooled = step.name if widened else f'{step.name}.pooled'
        self.nodes.append(
            helper.make_node(
                'MaxPool',
                [_name(step.args[0])],
                [pooled],
                pooled,
                kernel_shape=[2, 2],
                strides=[2, 2],
            )
        )
        if not widened:
            self._identity(step, pooled, _channels(step))

    def pad(self, step: fx.Node) -> None:
        self._identity(step, _name(step.args[0]), _channels(step.args[0]))

    def _identity(self, step: fx.Node, value: str, channels: int) -> None:
        """Write a skip as a 1x1 convolution that copies it, or adds channels of zeros to it.

        ONNX Runtime adds the outputs of two convolutions in one pass and in its blocked layout. Any
        other sum converts everything that follows to the plain layout, which would cost `back` a
        sixth of its time.
        """
        weight = np.eye(_channels(step), channels)[..., None, None]
        constant = self.constant(f'{step.name}.identity', weight, np.float32)
        self.node('Conv', step, [value, constant], kernel_shape=[1, 1])

    def resize(self, step: fx.Node) -> None:
        # Opset 11 requires a region of interest, which this mode does not use.
        roi = self.constant(f'{step.name}.roi', [], np.float32)
        factor = step.kwargs['scale_factor']
        scales = self.constant(f'{step.name}.scales', [1, 1, factor, factor], np.float32)
        self.node(
            'Resize',
            step,
            [_name(step.args[0]), roi, scales],
            mode='linear',
            coordinate_transformation_mode='half_pixel',
        )

    def reshape(self, step: fx.Node) -> None:
        # The batch size is free: 0 keeps that of the input.
        shape = [0 if isinstance(size, fx.Node) else size for size in step.args[1:]]
        constant = self.constant(f'{step.name}.shape', shape)
        self.node('Reshape', step, [_name(step.args[0]), constant])


def _name(value: Any) -> str:
    assert isinstance(value, fx.Node)
    return value.name


def _channels(value: Any) -> int:
    return int(value.meta['tensor_meta'].shape[1])


def _one_node(kind: str, **attributes: Any) -> Callable[[_Graph, fx.Node], None]:
    def add(graph: _Graph, step: fx.Node) -> None:
        graph.node(kind, step, [_name(value) for value in step.all_input_nodes], **attributes)

    return add


def _nothing(graph: _Graph, step: fx.Node) -> None:
    """Translate a step that computes the batch size, which ONNX's Reshape keeps by itself."""


_STEPS: dict[Any, Callable[[_Graph, fx.Node], None]] = {
    functional.relu: _one_node('Relu'),
    functional.max_pool2d: _Graph.max_pool,
    functional.pad: _Graph.pad,
    functional.interpolate: _Graph.resize,
    depth_to_space: _one_node('DepthToSpace', blocksize=2, mode='DCR'),
    operator.add: _one_node('Add'),
    torch.cat: _one_node('Concat', axis=1),
    'permute': _one_node('Transpose', perm=[0, 2, 3, 1]),
    'reshape': _Graph.reshape,
    getattr: _nothing,
    operator.getitem: _nothing,
}


def to_onnx(
    network: nn.Module,
    input_size: int,
    *,
    opset: int = 13,
    batch: int | None = None,
    metadata: dict[str, str] | None = None,
) -> onnx.ModelProto:
    """Translate a network.

    Args:
        network: a network of `make_network` with its weights.
        input_size: side of the square input in pixels.
        opset: the ONNX operator set, 11 to 18.
        batch: a fixed batch size; None leaves it free.
        metadata: entries to write into the model.

    Returns:
        The checked ONNX model: `input`, float32 [N, 3, S, S], to `coordinates`, float32
        [N, A, 16], and `logits`, float32 [N, A, 1].
    """
    steps = trace(network)
    example = torch.zeros(1, 3, input_size, input_size)
    with torch.inference_mode():
        ShapeProp(fx.GraphModule(network, steps)).propagate(example)
    graph = _Graph(network)
    for step in steps.nodes:
        graph.add(step)
    results = next(step for step in steps.nodes if step.op == 'output').args[0]
    renamed = {_name(result): name for result, name in zip(results, OUTPUT_NAMES)}
    renamed[next(step.name for step in steps.nodes if step.op == 'placeholder')] = INPUT_NAME
    for node in graph.nodes:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]

    def value(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch or 'N', *shape[1:]])

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            type(network).__name__,
            [value(INPUT_NAME, example.shape)],
            [
                value(name, result.meta['tensor_meta'].shape)
                for name, result in zip(OUTPUT_NAMES, results)
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid('', opset)],
        # The oldest format that has the opset, so that old runtimes read the file.
        ir_version=helper.find_min_ir_version_for([helper.make_opsetid('', opset)]),
        producer_name='blazeface_ros',
    )
    helper.set_model_props(model, metadata or {})
    onnx.checker.check_model(model, full_check=True)
    return model
