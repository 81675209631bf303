"""From image messages to frames, and back."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from blazeface_ros.core.compressed import (
    MOST_PIXELS,
    NETWORK_FORMATS,
    REDUCTIONS,
    decompress,
    read_header,
)
from blazeface_ros.core.frame import Channels, Frame
from blazeface_ros.errors import ImageError, shortened

Pixels = npt.NDArray[np.uint8]


class Encoding(NamedTuple):
    """How the pixels of an encoding lie in memory.

    Attributes:
        channels: what stands in a row, pixel by pixel.
        bytes: in a sample. Of two bytes, the more significant one is kept.
        to_bgr: OpenCV's conversion, where the network cannot sample the rows as they lie.
        rows: rows of data for each two rows of the picture.
    """

    channels: Channels | int
    bytes: int = 1
    to_bgr: int | None = None
    rows: int = 2

    @property
    def pixel(self) -> int:
        """Samples of a pixel in a row."""
        if isinstance(self.channels, int):
            return self.channels
        return 1 if self.channels == 'gray' else len(self.channels)


# OpenCV names a Bayer pattern by its second row's second and third pixels, ROS by its first two
# rows' first two.
_BAYER = {
    'rggb': cv2.COLOR_BayerBG2BGR,
    'bggr': cv2.COLOR_BayerRG2BGR,
    'gbrg': cv2.COLOR_BayerGR2BGR,
    'grbg': cv2.COLOR_BayerGB2BGR,
}

#: By the names of sensor_msgs/image_encodings.hpp.
ENCODINGS: dict[str, Encoding] = {
    'bgr8': Encoding('bgr'),
    'rgb8': Encoding('rgb'),
    'bgra8': Encoding('bgra'),
    'rgba8': Encoding('rgba'),
    'mono8': Encoding('gray'),
    '8UC1': Encoding('gray'),
    '8UC3': Encoding('bgr'),
    '8UC4': Encoding('bgra'),
    'mono16': Encoding('gray', bytes=2),
    '16UC1': Encoding('gray', bytes=2),
    **{f'bayer_{name}8': Encoding(1, to_bgr=code) for name, code in _BAYER.items()},
    **{f'bayer_{name}16': Encoding(1, bytes=2, to_bgr=code) for name, code in _BAYER.items()},
    'yuv422': Encoding(2, to_bgr=cv2.COLOR_YUV2BGR_UYVY),
    'uyvy': Encoding(2, to_bgr=cv2.COLOR_YUV2BGR_UYVY),
    'yuv422_yuy2': Encoding(2, to_bgr=cv2.COLOR_YUV2BGR_YUY2),
    'yuyv': Encoding(2, to_bgr=cv2.COLOR_YUV2BGR_YUY2),
    'nv12': Encoding(1, to_bgr=cv2.COLOR_YUV2BGR_NV12, rows=3),
    'nv21': Encoding(1, to_bgr=cv2.COLOR_YUV2BGR_NV21, rows=3),
}
#: Encodings whose colours are shared by neighbouring pixels: both sides must be even.
_EVEN = ('yuv', 'uyvy', 'yuyv', 'nv')
#: A Bayer picture with shorter sides becomes black in OpenCV.
_SMALLEST_BAYER = 3


def frame_from_message(message: Image) -> Frame:
    """Read an image message.

    Args:
        message: it keeps the pixels; do not alter it while the frame is in use.

    Returns:
        A frame that is a view of the message's own data wherever the network can sample it there
        (8-bit bgr, rgb, bgra, rgba and gray, whatever the step), else a converted copy.

    Raises:
        ImageError: if sizes and data do not belong together, or the encoding is unknown.
    """
    height, width, step = message.height, message.width, message.step
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise ImageError(
            f'encoding {shortened(message.encoding)!r} is unknown; supported are '
            f'{", ".join(ENCODINGS)}'
        )
    if not height or not width:
        raise ImageError(f'the image has no pixels: width {width}, height {height}')
    if message.encoding.startswith(_EVEN) and (width % 2 or height * encoding.rows % 2):
        raise ImageError(f'{width} x {height} cannot be {message.encoding}: sides must be even')
    if message.encoding.startswith('bayer') and min(width, height) < _SMALLEST_BAYER:
        raise ImageError(
            f'{width} x {height} cannot be {message.encoding}: sides must be at least '
            f'{_SMALLEST_BAYER}'
        )
    row = width * encoding.pixel * encoding.bytes
    if step < row:
        raise ImageError(
            f'step is {step}, but a row of {width} pixels in {message.encoding!r} has {row} bytes'
        )
    rows = height * encoding.rows // 2
    wanted = (rows - 1) * step + row
    if len(message.data) < wanted:
        raise ImageError(
            f'{len(message.data)} bytes of data are too few: {rows} rows with step {step} need '
            f'at least {wanted}'
        )
    samples = np.ndarray(
        (rows, width, encoding.pixel * encoding.bytes),
        np.uint8,
        message.data,
        strides=(step, encoding.pixel * encoding.bytes, 1),
    )
    if encoding.bytes == 2:
        samples = np.ascontiguousarray(samples[..., 0 if message.is_bigendian else 1 :: 2])
    if samples.shape[2] == 1:
        samples = samples[..., 0]
    if isinstance(encoding.channels, str):
        return Frame(samples, encoding.channels)
    assert encoding.to_bgr is not None
    try:
        return Frame(cv2.cvtColor(samples, encoding.to_bgr))  # type: ignore[arg-type]
    except cv2.error as error:
        raise ImageError(
            f'{width} x {height} in {message.encoding!r} cannot be converted: {error.err}'
        ) from error


def read_image(
    message: Image | CompressedImage, needed_side: int | None = None, max_pixels: int = MOST_PIXELS
) -> Frame:
    """Read an image, raw or compressed.

    Args:
        message: a raw image (see `frame_from_message`), or a JPEG or PNG.
        needed_side: pixels needed along the longer side; None: all. A JPEG is decoded as small as
            still has them.
        max_pixels: compressed images with more pixels are not decoded.

    Raises:
        ImageError: if it cannot be read.
    """
    if isinstance(message, Image):
        return frame_from_message(message)
    data = np.frombuffer(message.data, np.uint8)
    header = read_header(data, NETWORK_FORMATS)
    reduction, flag = 1, cv2.IMREAD_COLOR
    if header.format == 'JPEG' and needed_side:
        longest = max(header.width, header.height)
        fitting = ((n, flag) for flag, n in REDUCTIONS.items() if longest >= n * needed_side)
        reduction, flag = next(fitting, (reduction, flag))
    # The EXIF orientation is ignored, as raw images have none either.
    pixels = decompress(
        data,
        formats=NETWORK_FORMATS,
        max_pixels=max_pixels,
        flags=flag | cv2.IMREAD_IGNORE_ORIENTATION,
    )
    return Frame(pixels, reduction=reduction)


def message_from_bgr(pixels: Pixels, header: Header) -> Image:
    """Make an image message.

    Args:
        pixels: uint8 [H, W, 3] in bgr order, C-contiguous.
        header: for the message.
    """
    height, width = pixels.shape[:2]
    message = Image(header=header, height=height, width=width, encoding='bgr8', step=3 * width)
    # Anything but an array.array's own frombytes is checked by rclpy byte for byte.
    message.data.frombytes(pixels.data)  # type: ignore[union-attr]
    return message


def jpeg_from_bgr(pixels: Pixels, header: Header, quality: int) -> CompressedImage:
    """Make a compressed image message.

    Args:
        pixels: uint8 [H, W, 3] in bgr order.
        header: for the message.
        quality: of the JPEG, 1 to 100.
    """
    message = CompressedImage(header=header, format='bgr8; jpeg compressed bgr8')
    encoded, data = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise ImageError(
            f'a picture of {pixels.shape[1]} x {pixels.shape[0]} cannot be a JPEG: too large?'
        )
    message.data.frombytes(data.data)
    return message
