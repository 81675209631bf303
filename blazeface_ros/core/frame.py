"""A picture as the camera gave it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.errors import ImageError

Channels = Literal['bgr', 'rgb', 'bgra', 'rgba', 'gray']

#: For each layout, where in a pixel red, green and blue stand.
RGB_POSITIONS: dict[Channels, tuple[int, int, int]] = {
    'bgr': (2, 1, 0),
    'rgb': (0, 1, 2),
    'bgra': (2, 1, 0),
    'rgba': (0, 1, 2),
    'gray': (0, 0, 0),
}

#: The longest side in pixels that OpenCV's remap can sample: it counts them in 16 bits.
LONGEST_SIDE = 32766

_TO_BGR: dict[Channels, int] = {
    'rgb': cv2.COLOR_RGB2BGR,
    'bgra': cv2.COLOR_BGRA2BGR,
    'rgba': cv2.COLOR_RGBA2BGR,
    'gray': cv2.COLOR_GRAY2BGR,
}


class Frame(NamedTuple):
    """A picture as the camera gave it.

    Attributes:
        pixels: uint8 [H, W, C], or [H, W] for gray; rows may be padded (strides are honoured).
        channels: what the C channels are.
        reduction: how many pixels of the camera's picture one of these pixels stands for along a
            side. All coordinates are in pixels of the camera's picture.
    """

    pixels: npt.NDArray[np.uint8]
    channels: Channels = 'bgr'
    reduction: int = 1

    @classmethod
    def from_picture(cls, picture: npt.NDArray[np.uint8] | Frame) -> Frame:
        """Check a picture and make it a frame.

        Args:
            picture: a frame, or a uint8 array [H, W, 3] in OpenCV's channel order bgr.

        Raises:
            ImageError: if it is neither, has no pixels, or is too large to be sampled.
        """
        frame = picture if isinstance(picture, Frame) else cls(picture)
        pixels, channels = frame.pixels, frame.channels
        if channels not in RGB_POSITIONS:
            raise ImageError(
                f"channels of a frame are '{channels}'; they must be one of "
                f'{", ".join(RGB_POSITIONS)}'
            )
        wanted: dict[str, tuple[int, ...]] = {'gray': ()}
        shape = wanted.get(channels, (len(channels),))
        if (
            not isinstance(pixels, np.ndarray)
            or pixels.dtype != np.uint8
            or pixels.ndim < 2
            or pixels.shape[2:] != shape
            or not pixels.size
        ):
            got = (
                f'{pixels.dtype} {list(pixels.shape)}'
                if isinstance(pixels, np.ndarray)
                else type(pixels).__name__
            )
            layout = ', '.join(('H', 'W', *map(str, shape)))
            raise ImageError(f'a {channels} picture is a uint8 array [{layout}], got {got}')
        if max(pixels.shape) > LONGEST_SIDE:
            raise ImageError(
                f'a picture of {frame.width} x {frame.height} is too large: '
                f'OpenCV samples up to {LONGEST_SIDE} pixels a side'
            )
        return frame

    @property
    def width(self) -> int:
        """Width of the camera's picture in pixels."""
        return int(self.pixels.shape[1]) * self.reduction

    @property
    def height(self) -> int:
        """Height of the camera's picture in pixels."""
        return int(self.pixels.shape[0]) * self.reduction

    def to_bgr(self, scale: float = 1.0) -> npt.NDArray[np.uint8]:
        """A copy as uint8 [scale * H, scale * W, 3] in bgr order, free to be drawn on."""
        pixels = self.pixels
        size = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        resized = size != (pixels.shape[1], pixels.shape[0])
        if resized:
            smaller = size[0] < pixels.shape[1]
            interpolation = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            pixels = cv2.resize(pixels, size, interpolation=interpolation)  # type: ignore[assignment]
        if self.channels != 'bgr':
            return cv2.cvtColor(pixels, _TO_BGR[self.channels])  # type: ignore[return-value]
        return pixels if resized else np.array(pixels, order='C')
