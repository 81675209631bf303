"""The BlazeFace networks in PyTorch, each built from a small table.

Paper: Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs",
arXiv:1907.05047. The tables follow the .tflite files that MediaPipe published. `trace` gives the
steps of a network: `tflite_reader` compares them with the operators of a .tflite file, and
`onnx_export` translates them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from blazeface_ros.errors import ConfigurationError
from blazeface_ros.models.catalogue import COORDINATES


def same_padding(kernel: int, stride: int) -> tuple[int, int, int, int]:
    """TensorFlow's SAME padding for an input of even size: (left, right, top, bottom).

    An odd pixel is added at the right and at the bottom. PyTorch's own `padding` is the same on
    both sides.
    """
    total = kernel - stride
    return total // 2, total - total // 2, total // 2, total - total // 2


class Convolution(nn.Conv2d):
    """A padded convolution: [N, inputs, H, W] → [N, outputs, H/stride, W/stride].

    Args:
        inputs, outputs: numbers of channels.
        kernel, stride, groups: as in `nn.Conv2d`.
        symmetric: whether a convolution of stride 2 is padded equally on all sides. TensorFlow's
            SAME padding, which is used otherwise, is uneven there.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        symmetric: bool = False,
    ) -> None:
        left, right, top, bottom = same_padding(kernel, 1 if symmetric else stride)
        even = left == right
        super().__init__(
            inputs, outputs, kernel, stride, padding=left if even else 0, groups=groups
        )
        self.uneven_padding = None if even else (left, right, top, bottom)

    def forward(self, x: Tensor) -> Tensor:
        if self.uneven_padding:
            x = functional.pad(x, self.uneven_padding)
        return super().forward(x)


class Skip(nn.Module):
    """The skip connection of a block: [N, inputs, H, W] → [N, outputs, H/stride, W/stride].

    A stride of 2 is a 2x2 max pooling. The channels that the block adds are zeros.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.more_channels = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 2:
            x = functional.max_pool2d(x, 2)
        if self.more_channels:
            x = functional.pad(x, (0, 0, 0, 0, 0, self.more_channels))
        return x


class Block(nn.Module):
    """BlazeFace's block: [N, inputs, H, W] → [N, outputs, H/stride, W/stride].

    Depthwise 3x3 and pointwise 1x1 convolutions, plus the skip connection, then ReLU.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, skip: bool = True) -> None:
        super().__init__()
        self.depthwise = Convolution(inputs, inputs, kernel=3, stride=stride, groups=inputs)
        self.pointwise = Convolution(inputs, outputs)
        self.skip = Skip(inputs, outputs, stride) if skip else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.pointwise(self.depthwise(x))
        if self.skip is not None:
            y = y + self.skip(x)
        return functional.relu(y)


class DoubleBlock(nn.Module):
    """BlazeFace's double block: [N, inputs, H, W] → [N, outputs, H/stride, W/stride].

    Depthwise 3x3, pointwise 1x1 to few channels (a bottleneck), ReLU, depthwise 3x3 and pointwise
    1x1 convolutions, plus the skip connection, then ReLU.
    """

    def __init__(
        self,
        inputs: int,
        narrow: int,
        outputs: int,
        stride: int = 1,
        skip: bool = True,
        symmetric: bool = False,
    ) -> None:
        super().__init__()
        self.depthwise = Convolution(
            inputs, inputs, kernel=3, stride=stride, groups=inputs, symmetric=symmetric
        )
        self.squeeze = Convolution(inputs, narrow)
        self.narrow_depthwise = Convolution(narrow, narrow, kernel=3, groups=narrow)
        self.expand = Convolution(narrow, outputs)
        self.skip = Skip(inputs, outputs, stride) if skip else None

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.squeeze(self.depthwise(x)))
        y = self.expand(self.narrow_depthwise(y))
        if self.skip is not None:
            y = y + self.skip(x)
        return functional.relu(y)


#: (channels, stride, skip) of each block. The fine head (2 anchors per cell) takes the output of
#: the last fine block, the coarse head (6 anchors per cell) that of the last coarse block.
FINE_BLOCKS = {
    'front': [(24, 1, True), (28, 1, True)]
    + [(32, 2, True), (36, 1, True), (42, 1, True)]
    + [(48, 2, True)]
    + [(channels, 1, True) for channels in (56, 64, 72, 80, 88)],
    'back': [(24, 1, True)] * 7
    + [(24, 2, True)]
    + [(24, 1, True)] * 7
    + [(48, 2, True)]
    + [(48, 1, True)] * 7
    + [(96, 2, True)]
    + [(96, 1, True)] * 7,
}
COARSE_BLOCKS = {
    'front': [(96, 2, True)] + [(96, 1, True)] * 4,
    'back': [(96, 2, False)],
}
STEM_CHANNELS = 24


class BlazeFace(nn.Module):
    """The networks with two heads, `front` and `back`.

    float32 [N, 3, S, S], red, green and blue from -1 to 1 → coordinates [N, 896, 16] and logits
    [N, 896, 1]. The anchors are those of 16 x 16 cells with 2 anchors, then of 8 x 8 cells with 6.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.stem = Convolution(3, STEM_CHANNELS, kernel=5, stride=2)
        self.fine, channels = self._blocks(FINE_BLOCKS[name], STEM_CHANNELS)
        fine_channels = channels
        self.coarse, channels = self._blocks(COARSE_BLOCKS[name], channels)
        self.fine_logits = Convolution(fine_channels, 2)
        self.coarse_logits = Convolution(channels, 6)
        self.fine_coordinates = Convolution(fine_channels, 2 * COORDINATES)
        self.coarse_coordinates = Convolution(channels, 6 * COORDINATES)

    @staticmethod
    def _blocks(table: list[tuple[int, int, bool]], channels: int) -> tuple[nn.Sequential, int]:
        blocks = []
        for outputs, stride, skip in table:
            blocks.append(Block(channels, outputs, stride, skip))
            channels = outputs
        return nn.Sequential(*blocks), channels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(functional.relu(self.stem(x)))
        coarse = self.coarse(fine)
        logits = torch.cat(
            [
                per_anchor(self.fine_logits(fine), 1),
                per_anchor(self.coarse_logits(coarse), 1),
            ],
            dim=1,
        )
        coordinates = torch.cat(
            [
                per_anchor(self.fine_coordinates(fine), COORDINATES),
                per_anchor(self.coarse_coordinates(coarse), COORDINATES),
            ],
            dim=1,
        )
        return coordinates, logits


def depth_to_space(x: Tensor) -> Tensor:
    """TensorFlow's DEPTH_TO_SPACE: [N, 4 * C, H, W] → [N, C, 2 * H, 2 * W].

    The order of its channels is (row, column, C). PyTorch's `pixel_shuffle` has (C, row, column).
    """
    batch, channels, height, width = x.shape
    x = x.view(batch, 2, 2, channels // 4, height, width).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(batch, channels // 4, 2 * height, 2 * width)


# Makes the function one step of a trace, like PyTorch's own functions.
fx.wrap('depth_to_space')


class SubpixelHead(nn.Module):
    """A head that predicts four cells at every second place.

    [N, inputs, H, W] → [N, outputs, H, W].
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pointwise = Convolution(inputs, 4 * outputs)
        self.depthwise = Convolution(
            4 * outputs, 4 * outputs, kernel=3, stride=2, groups=4 * outputs, symmetric=True
        )

    def forward(self, x: Tensor) -> Tensor:
        return depth_to_space(self.depthwise(self.pointwise(x)))


class FullRange(NamedTuple):
    """The differences between the two full-range networks.

    Attributes:
        stages: (narrow, channels, stride) of each double block of the encoder. The pyramid takes
            the output of the last block of each stage.
        strided_skip: whether blocks of stride 2 have a skip connection.
        symmetric: whether convolutions of stride 2 are padded equally on all sides.
        head: the module that computes an output from the channels of the pyramid.
    """

    stages: list[list[tuple[int, int, int]]]
    strided_skip: bool
    symmetric: bool
    head: type[Convolution | SubpixelHead]


FULL_RANGE = {
    'full_range': FullRange(
        [
            [(8, 32, 1)] * 2 + [(12, 48, 2), (12, 48, 1), (16, 64, 1)],
            [(24, 96, 2), (32, 128, 1), (32, 128, 1)],
            [(36, 144, 2), (48, 192, 1), (64, 256, 1)],
            [(96, 384, 2)] + [(96, 384, 1)] * 3,
        ],
        strided_skip=True,
        symmetric=False,
        head=Convolution,
    ),
    'full_range_sparse': FullRange(
        [
            [(8, 32, 1)] * 2 + [(16, 64, 2)] + [(16, 64, 1)] * 2,
            [(32, 128, 2)] + [(32, 128, 1)] * 2,
            [(48, 192, 2)] + [(48, 192, 1)] * 2,
            [(96, 384, 2)] + [(96, 384, 1)] * 3,
        ],
        strided_skip=False,
        symmetric=True,
        head=SubpixelHead,
    ),
}
FULL_RANGE_STEM_CHANNELS = 32
#: (narrow, channels, double blocks) of each level of the pyramid, from the coarsest up.
PYRAMID = [(48, 96, 2), (32, 64, 2), (24, 48, 1)]


class PyramidLevel(nn.Module):
    """Adds the upsampled features of a coarse layer to those of a finer one.

    [N, coarse, H, W] and [N, fine, 2 * H, 2 * W] → [N, channels, 2 * H, 2 * W].
    """

    def __init__(self, coarse: int, fine: int, narrow: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.from_coarse = Convolution(coarse, channels)
        self.from_fine = Convolution(fine, channels)
        self.blocks = nn.Sequential(
            *(DoubleBlock(channels, narrow, channels) for _ in range(blocks))
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        coarse = functional.interpolate(
            functional.relu(self.from_coarse(coarse)),
            scale_factor=2,
            mode='bilinear',
            align_corners=False,
        )
        x: Tensor = self.blocks(functional.relu(self.from_fine(fine)) + coarse)
        return x


class BlazeFaceFullRange(nn.Module):
    """The full-range networks: a feature pyramid with one head for cells of 4 x 4 pixels.

    float32 [N, 3, S, S], red, green and blue from -1 to 1 → coordinates [N, (S/4)², 16] and logits
    [N, (S/4)², 1], with one anchor per cell.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        table = FULL_RANGE[name]
        channels = FULL_RANGE_STEM_CHANNELS
        self.stem = Convolution(3, channels, kernel=3, stride=2, symmetric=table.symmetric)
        stages, stage_channels = [], []
        for stage in table.stages:
            blocks = []
            for narrow, outputs, stride in stage:
                skip = stride == 1 or table.strided_skip
                blocks.append(DoubleBlock(channels, narrow, outputs, stride, skip, table.symmetric))
                channels = outputs
            stages.append(nn.Sequential(*blocks))
            stage_channels.append(channels)
        self.stages = nn.ModuleList(stages)

        levels = []
        for fine, (narrow, outputs, count) in zip(stage_channels[-2::-1], PYRAMID):
            levels.append(PyramidLevel(channels, fine, narrow, outputs, count))
            channels = outputs
        self.pyramid = nn.ModuleList(levels)
        self.logits_head = table.head(channels, 1)
        self.coordinates_head = table.head(channels, COORDINATES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = functional.relu(self.stem(x))
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        for level, fine in zip(self.pyramid, features[-2::-1]):
            x = level(x, fine)
        logits = per_anchor(self.logits_head(x), 1)
        coordinates = per_anchor(self.coordinates_head(x), COORDINATES)
        return coordinates, logits


def per_anchor(x: Tensor, values: int) -> Tensor:
    """A head's output by anchor: [N, anchors * values, H, W] → [N, H * W * anchors, values]."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)


def make_network(name: str) -> nn.Module:
    """Make a network of `catalogue.MODELS`, with random weights.

    Raises:
        ConfigurationError: if there is no network of this name.
    """
    if name in FINE_BLOCKS:
        return BlazeFace(name)
    if name in FULL_RANGE:
        return BlazeFaceFullRange(name)
    names = ', '.join([*FINE_BLOCKS, *FULL_RANGE])
    raise ConfigurationError(f"network '{name}' is unknown; there are: {names}")


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Convolution)


def trace(network: nn.Module) -> fx.Graph:
    """The steps of a network's `forward`. A `Convolution` with its padding is one step."""
    return _Tracer().trace(network)
