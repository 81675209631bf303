"""Where to look: square windows on frames, and cropping them into the network's input.

A window is a square in pixels of its frame. One around the whole frame is the classic letterbox;
what lies outside the frame is black. Coordinates go corner to corner as in MediaPipe's
ImageToTensorCalculator: the input's pixel i shows the frame at x0 + i * size / input_size.
"""

from __future__ import annotations

import math
from functools import lru_cache
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

#: Of the network's input.
BLACK = np.float32(-1)

#: OpenCV's remap counts pixels in 16 bits.
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
        reduction: how many pixels of the camera's picture one of these stands for along a side.
            All coordinates are in pixels of the camera's picture.
    """

    pixels: npt.NDArray[np.uint8]
    channels: Channels = 'bgr'
    reduction: int = 1

    @classmethod
    def of(cls, picture: npt.NDArray[np.uint8] | Frame) -> Frame:
        """Take a frame, or a uint8 array [H, W, 3] in OpenCV's order bgr.

        Raises:
            ImageError: if it is neither, or has no pixels.
        """
        frame = picture if isinstance(picture, Frame) else cls(picture)
        pixels, channels = frame.pixels, frame.channels
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
        """In pixels of the camera's picture."""
        return int(self.pixels.shape[1]) * self.reduction

    @property
    def height(self) -> int:
        """In pixels of the camera's picture."""
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


class Window(NamedTuple):
    """A square of one frame of a batch.

    Attributes:
        frame: index of the frame in the batch.
        x0, y0: the upper left corner in pixels of the frame; may lie outside of it.
        size: the side in pixels of the frame.
    """

    frame: int
    x0: float
    y0: float
    size: float


def whole_frame(index: int, frame: Frame) -> Window:
    """The window of the classic letterbox: centred, as large as the frame's longer side."""
    return Window(index, *letterbox(frame.width, frame.height))


def letterbox(width: int, height: int) -> tuple[float, float, float]:
    """x0, y0 and size of the square around a whole frame, centred, in its pixels."""
    size = float(max(width, height))
    return (width - size) / 2, (height - size) / 2, size


class Levels(NamedTuple):
    """The windows in which faces from a size up are seen whole.

    Attributes:
        windows: (x0, y0, size) each; the whole frame comes first, then from large to small.
        smallest_face: that they show, in pixels of the frame.
        note: where that is not what was asked for, and why; else ''.
    """

    windows: tuple[tuple[float, float, float], ...]
    smallest_face: float
    note: str


#: A frame is not searched in more windows than this; each costs a run of the network.
MOST_WINDOWS = 160
#: From one level to the next windows are so many times as large.
LEVEL_RATIO = 2.0
#: How much windows of a level overlap, in sizes of the largest face that only they show: it is
#: seen whole in one of them, with something around it ...
OVERLAP = 1.25
#: ... but by no more than this share of their side, in panoramas many times as wide as high.
MOST_OVERLAP = 0.75


@lru_cache(maxsize=64)
def levels(width: int, height: int, smallest_face: float, share: float) -> Levels:
    """Cover a frame with square windows, so that any face from a size up is large enough in one.

    Args:
        width: of the frame in pixels.
        height: of the frame in pixels.
        smallest_face: in pixels of the frame; 0: only what the whole frame shows.
        share: how large a face must be for the network, as a share of the window's side.

    Returns:
        The whole frame, then levels of windows inside it, each half as large as those before. With
        more than `MOST_WINDOWS`, the smallest face is raised until they suffice.
    """
    longest = max(width, height)
    asked, note = smallest_face, ''
    if asked > longest * share:
        note = (
            f'smallest_face is {asked:g}, but one look at the whole picture of {width} x {height} '
            f'shows faces from {longest * share:.0f} pixels on: it is all that is searched'
        )
    while True:
        windows, enough = [letterbox(width, height)], True
        size = smallest_face / share
        sizes = []
        while smallest_face and size < longest:
            sizes.append(min(size, min(width, height)))
            size *= LEVEL_RATIO
        for size in sorted(set(sizes), reverse=True):
            # The next larger windows, which may be more than twice as large only above all levels.
            larger = max(LEVEL_RATIO * size, longest if size == max(sizes) else 0)
            overlap = min(OVERLAP * share * larger, MOST_OVERLAP * size)
            rows, columns = (_starts(side, round(size), overlap) for side in (height, width))
            enough = len(windows) + len(rows) * len(columns) <= MOST_WINDOWS
            if not enough:
                break
            windows += [(x, y, float(round(size))) for y in rows for x in columns]
        if enough:
            smallest = smallest_face if sizes else longest * share
            if smallest_face > asked:
                note = (
                    f'smallest_face is {asked:g}, which takes more than {MOST_WINDOWS} windows of '
                    f'a picture of {width} x {height}: it is searched for faces from '
                    f'{smallest:.0f} pixels on'
                )
            return Levels(tuple(windows), smallest, note)
        smallest_face *= 1.1


def _starts(length: int, size: int, overlap: float) -> list[float]:
    """Where windows of a size begin along a side, at whole pixels, evenly."""
    count = 1 + max(0, math.ceil((length - size) / max(size - overlap, 1)))
    return [float(round(start)) for start in np.linspace(0, length - size, count)]


class _Sampling(NamedTuple):
    """Which pixels of a view a part of the input shows.

    Attributes:
        points, fractions: where each pixel of that part samples, in OpenCV's fixed-point form.
        rows, columns: which part of the input that is; the rest lies outside of the frame.
    """

    points: cv2.typing.MatLike
    fractions: cv2.typing.MatLike
    rows: slice
    columns: slice


def _visible(positions: npt.NDArray[np.floating], length: int) -> slice:
    """Which of these rising positions lie on a side of so many pixels, or less than one beside."""
    first, last = np.searchsorted(positions, (-1, length), side='right')
    return slice(int(first), int(last))


@lru_cache(maxsize=64)
def _sampling(
    x0: float, y0: float, step: float, input_size: int, width: int, height: int
) -> _Sampling:
    """What a window that begins at x0, y0 of a view, and goes on in such steps, sees of it.

    Kept, because a camera's frames have the same windows over and over, and because windows of
    one size inside a frame all see their views alike. Fixed-point numbers (to 1/32 pixel) are what
    MediaPipe samples with. OpenCV 5 samples its warps otherwise, and tells a face at the threshold
    apart from MediaPipe; with these points every version agrees.
    """
    steps = np.arange(input_size) * step
    x, y = steps + x0, steps + y0
    rows, columns = _visible(y, height), _visible(x, width)
    grid = np.meshgrid(x[columns].astype(np.float32), y[rows].astype(np.float32))
    # OpenCV refuses maps without points, as of a window beside the frame.
    points, fractions = cv2.convertMaps(*grid, cv2.CV_16SC2) if grid[0].size else grid
    return _Sampling(points, fractions, rows, columns)


def _view(start: float, end: float, length: int) -> tuple[int, int]:
    """The pixels of a side that positions from start to end are interpolated from."""
    first = min(max(int(start), 0), length - 1)
    return first, max(min(int(end) + 2, length), first + 1)


def crop(frame: Frame, window: Window, out: npt.NDArray[np.float32]) -> None:
    """Show the network a window of a frame.

    Args:
        frame: the picture.
        window: where to look; outside of the frame it sees black.
        out: float32 [3, S, S] to fill, red, green, blue from -1 to 1.
    """
    input_size = out.shape[-1]
    # A reduced pixel is the mean of several: it stands in the middle of them.
    middle = (frame.reduction - 1) / 2
    x0, y0 = ((start - middle) / frame.reduction for start in (window.x0, window.y0))
    step = window.size / input_size / frame.reduction
    reach = step * (input_size - 1)
    left, right = _view(x0, x0 + reach, frame.pixels.shape[1])
    top, bottom = _view(y0, y0 + reach, frame.pixels.shape[0])
    points, fractions, rows, columns = _sampling(
        x0 - left, y0 - top, step, input_size, right - left, bottom - top
    )
    for outside in (slice(rows.start), slice(rows.stop, None)):
        out[:, outside] = BLACK
    for outside in (slice(columns.start), slice(columns.stop, None)):
        out[:, rows, outside] = BLACK
    if not points.size:
        return
    # One pass over the pixels that the input shows, however large the frame: nothing is padded or
    # converted at full size.
    cropped = cv2.remap(
        frame.pixels[top:bottom, left:right],
        points,
        fractions,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    planes = cv2.split(cropped)
    for plane, position in zip(out[:, rows, columns], RGB_POSITIONS[frame.channels]):
        np.multiply(planes[position], np.float32(1 / 127.5), out=plane)
        plane += BLACK


def to_frame_coordinates(
    points: npt.NDArray[np.float32], squares: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Carry points from their windows into their frames.

    Args:
        points: float32 [K, P, 2], in units of the window.
        squares: float32 [K, 3], x0, y0 and size of the windows they stand in.

    Returns:
        float32 [K, P, 2], in pixels of the frame.
    """
    return points * squares[:, None, 2:] + squares[:, None, :2]


#: How near to a window's edge a box may come before it may be cut by it, in sides of the window.
EDGE = 0.02


def judge(
    points: npt.NDArray[np.float32],
    squares: npt.NDArray[np.float32],
    size: tuple[int, int],
    finest: float,
    share: float,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Tell what windows of a frame show well from what others show better.

    Args:
        points: float32 [K, P, 2], whose first two are the box's corners, in pixels of the frame.
        squares: float32 [K, 3], x0, y0 and size of the windows they were found in.
        size: width and height of the frame in pixels.
        finest: side of the smallest windows of the frame's plan.
        share: how large a face must be for the network, as a share of the window's side.

    Returns:
        bool [K], whether the window is a part of the frame; bool [K], whether it shows this face
        well: whole, not cut by an edge of the window inside the frame, and not so small that
        chance looks like a face where a smaller window would tell.
    """
    low, side = squares[:, :2], squares[:, 2:]
    high = low + side
    inside_low, inside_high = low > 0, high < np.array(size)
    part: npt.NDArray[np.bool_] = np.any(inside_low | inside_high, axis=1)
    margin = EDGE * side
    cut = np.any(inside_low & (points[:, 0] < low + margin), axis=1)
    cut |= np.any(inside_high & (points[:, 1] > high - margin), axis=1)
    width = points[:, 1, 0] - points[:, 0, 0]
    tiny = (width < share * side[:, 0]) & (side[:, 0] > finest)
    clear: npt.NDArray[np.bool_] = ~part | ~(cut | tiny)
    return part, clear
