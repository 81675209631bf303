"""From image messages to frames, and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from blazeface_ros.errors import ImageError
from blazeface_ros.windows import Channels, Frame

#: Encodings that the pipeline reads where they lie.
VIEWED: dict[str, Channels] = {
    'bgr8': 'bgr',
    'rgb8': 'rgb',
    'bgra8': 'bgra',
    'rgba8': 'rgba',
    'mono8': 'gray',
}


def frame_from_message(message: Image) -> Frame:
    """Read an image message.

    Args:
        message: it keeps the pixels; do not alter it while the frame is in use.

    Returns:
        A frame that looks into the message's own data, whatever its step; for encodings other
        than `VIEWED` a copy, converted by cv_bridge.

    Raises:
        ImageError: if sizes and data do not belong together, or nothing can read the encoding.
    """
    height, width, step = message.height, message.width, message.step
    channels = VIEWED.get(message.encoding)
    pixel = 1 if channels is None or channels == 'gray' else len(channels)
    # Of other encodings the bytes of a pixel are not known here: less than half a byte is none.
    row = width * pixel if channels else (width + 1) // 2
    if not height or not width:
        raise ImageError(f'the image has no pixels: width {width}, height {height}')
    if step < row:
        raise ImageError(
            f'step is {step}, but a row of {width} pixels in {message.encoding!r} '
            f'has at least {row} bytes'
        )
    wanted = (height - 1) * step + row
    if len(message.data) < wanted:
        raise ImageError(
            f'{len(message.data)} bytes of data are too few: height {height} and step {step} '
            f'need at least {wanted}'
        )
    if channels is None:
        return _through_cv_bridge(message)
    pixels = np.ndarray(
        (height, width, pixel), np.uint8, message.data, strides=(step, pixel, 1)
    )
    return Frame(pixels[..., 0] if channels == 'gray' else pixels, channels)


def _through_cv_bridge(message: Image) -> Frame:
    supported = f'encoding {message.encoding!r} is not one of {", ".join(VIEWED)}'
    try:
        from cv_bridge import CvBridge
    except ImportError as error:
        raise ImageError(
            f'{supported}, and cv_bridge, which reads more, cannot be imported ({error})'
        ) from error
    try:
        pixels = CvBridge().imgmsg_to_cv2(message, 'bgr8')
        frame = Frame.of(np.asarray(pixels))
    except Exception as error:  # cv_bridge lets through whatever it meets inside
        raise ImageError(f'{supported}, and cv_bridge cannot read it: {error}') from error
    if frame.pixels.shape[:2] != (message.height, message.width):
        # cv_bridge takes the padding at the end of a row for pixels.
        raise ImageError(f'{supported}, and cv_bridge cannot read its padded rows')
    return frame


def message_from_bgr(pixels: npt.NDArray[np.uint8], header: Header) -> Image:
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
