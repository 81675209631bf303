"""The BlazeFace networks in PyTorch, each driven by a small table.

Paper: Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs",
arXiv:1907.05047. The tables follow the .tflite files that MediaPipe publishes. Convolutions are
registered in the order in which those files hold them: the reader relies on it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from blazeface_ros.models.catalogue import COORDINATES


def same_padding(kernel: int, stride: int) -> tuple[int, int, int, int]:
    """TensorFlow's SAME padding for an even input: (left, right, top, bottom).

    The odd pixel goes right and below, where PyTorch's own `padding` would go both ways.
    """
    total = kernel - stride
    return total // 2, total - total // 2, total // 2, total - total // 2


class Convolution(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: [N, in, H, W] → [N, out, H/s, W/s]."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        left, right, top, bottom = same_padding(kernel, stride)
        symmetric = left == right
        super().__init__(
            inputs, outputs, kernel, stride, padding=left if symmetric else 0, groups=groups
        )
        self.uneven_padding = None if symmetric else (left, right, top, bottom)

    def forward(self, x: Tensor) -> Tensor:
        if self.uneven_padding:
            x = functional.pad(x, self.uneven_padding)
        return super().forward(x)


class Block(nn.Module):
    """BlazeFace's block: depthwise 3x3, pointwise 1x1, plus a skip, ReLU.

    [N, inputs, H, W] → [N, outputs, H/stride, W/stride]. The skip of a stride-2 block is a 2x2
    max pooling; where channels are added, the skip has zeros in them.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, skip: bool = True) -> None:
        super().__init__()
        self.depthwise = Convolution(inputs, inputs, kernel=3, stride=stride, groups=inputs)
        self.pointwise = Convolution(inputs, outputs)
        self.stride = stride
        self.more_channels = outputs - inputs
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.pointwise(self.depthwise(x))
        if self.skip:
            if self.stride == 2:
                x = functional.max_pool2d(x, 2)
            if self.more_channels:
                x = functional.pad(x, (0, 0, 0, 0, 0, self.more_channels))
            y = y + x
        return functional.relu(y)


#: (channels, stride, skip) of each block. The fine head (2 anchors a cell) sits on the last block
#: before the coarse ones, the coarse head (6 anchors a cell) on the last block of all.
FINE_BLOCKS = {
    'back': [(24, 1, True)] * 7
    + [(24, 2, True)] + [(24, 1, True)] * 7
    + [(48, 2, True)] + [(48, 1, True)] * 7
    + [(96, 2, True)] + [(96, 1, True)] * 7,
}
COARSE_BLOCKS = {
    'back': [(96, 2, False)],
}
STEM_CHANNELS = 24


class BlazeFace(nn.Module):
    """The networks with two heads.

    [N, 3, S, S] float32, red, green, blue from -1 to 1 → coordinates [N, 896, 16], logits
    [N, 896, 1], for 16 x 16 cells of 2 anchors and then 8 x 8 cells of 6.
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
    def _blocks(
        table: list[tuple[int, int, bool]], channels: int
    ) -> tuple[nn.Sequential, int]:
        blocks = []
        for outputs, stride, skip in table:
            blocks.append(Block(channels, outputs, stride, skip))
            channels = outputs
        return nn.Sequential(*blocks), channels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(functional.relu(self.stem(x)))
        coarse = self.coarse(fine)
        coordinates = torch.cat(
            [
                per_anchor(self.fine_coordinates(fine), COORDINATES),
                per_anchor(self.coarse_coordinates(coarse), COORDINATES),
            ],
            dim=1,
        )
        logits = torch.cat(
            [
                per_anchor(self.fine_logits(fine), 1),
                per_anchor(self.coarse_logits(coarse), 1),
            ],
            dim=1,
        )
        return coordinates, logits


def per_anchor(x: Tensor, values: int) -> Tensor:
    """A head's output [N, anchors * values, H, W] → [N, H * W * anchors, values]."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)


def convolutions(network: nn.Module) -> Iterator[tuple[str, Convolution]]:
    """The network's convolutions with their names, in the order of the .tflite files."""
    for name, module in network.named_modules():
        if isinstance(module, Convolution):
            yield name, module
