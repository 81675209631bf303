"""Pictures, folders, videos and webcams as one stream of frames."""

from __future__ import annotations

import errno
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.core.compressed import MOST_PIXELS, decompress
from blazeface_ros.errors import (
    ConfigurationError,
    ImageError,
    describe_file_error,
    is_utf8,
    quoted,
)

Pixels = npt.NDArray[np.uint8]

PICTURE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')
#: Frames per second of pictures.
PICTURE_RATE = 10.0
#: Frames per second of a webcam that gives no sensible rate, but 0, -1 or not a number.
WEBCAM_RATE = 30.0
#: A higher rate in frames per second is taken for a mistake.
FASTEST_RATE = 1000.0

#: Bytes of a pixel in the largest picture files: four uncompressed samples of two bytes.
_MOST_BYTES_PER_PIXEL = 8
#: What else a picture file may contain: thumbnails, colour profiles, maps of depth.
_MOST_METADATA_BYTES = 2**26

#: The index of a webcam. OpenCV takes thousands for libraries that open webcams.
_WEBCAM = re.compile(r'\d{1,4}', re.ASCII)


def read_regular_file(file: str | Path, most_bytes: int) -> bytes:
    """Read a file that has an end: no folder, device or pipe.

    Raises:
        OSError: if it cannot be read or has more bytes; `errors.describe_file_error` tells why.
    """
    path = Path(file)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, 'it is a folder')
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, 'it is a device or a pipe')
        if status.st_size > most_bytes:
            reason = f'it has {status.st_size:,} bytes, more than the {most_bytes:,} that are read'
            raise OSError(errno.EFBIG, reason)
        with path.open('rb') as stream:
            return stream.read(status.st_size)
    except ValueError as error:  # a NUL byte or half a surrogate pair
        raise OSError(errno.EINVAL, f'it cannot be the name of a file ({error})') from error


def read_picture(file: str | Path, max_pixels: int = MOST_PIXELS) -> Pixels:
    """Read a picture file as uint8 [H, W, 3] in bgr order, turned by its EXIF orientation.

    Args:
        file: in one of `compressed.PICTURE_FORMATS`, whatever its name says.
        max_pixels: the largest picture to decode.

    Raises:
        ImageError: if the file is missing, too large, or not a picture.
    """
    # Decoded from memory, as imread fails with some systems' file names, and warns on stderr.
    try:
        most_bytes = max_pixels * _MOST_BYTES_PER_PIXEL + _MOST_METADATA_BYTES
        return decompress(read_regular_file(file, most_bytes), max_pixels=max_pixels)
    except OSError as error:
        raise ImageError(f'picture {quoted(file)} {describe_file_error(error)}') from error
    except ImageError as error:
        raise ImageError(f'picture {quoted(file)} cannot be read: {error}') from error


class Media:
    """A source of frames, checked when it is opened.

    Args:
        source: a picture, a folder of pictures, a video, or the index of a webcam.
        max_pixels: the largest frame to decode. A larger picture of a folder is skipped.

    Attributes:
        rate: frames per second: that of the video or webcam, `PICTURE_RATE` for pictures.
        skipped: pictures of a folder that could not be read.

    Raises:
        ConfigurationError: if there is nothing to show, or its frames are too large.
    """

    def __init__(self, source: str, max_pixels: int = MOST_PIXELS) -> None:
        self.skipped: list[str] = []
        self.rate = PICTURE_RATE
        self._max_pixels = max_pixels
        self._pictures: list[Path] = []
        #: A single picture, decoded once, however often it is shown.
        self._only: Pixels | None = None
        self._capture: cv2.VideoCapture | None = None
        if _WEBCAM.fullmatch(source):
            self._open(int(source), f'webcam {source}')
            return
        try:
            path = Path(source).expanduser()
            is_folder = stat.S_ISDIR(path.stat().st_mode)
            files = sorted(path.iterdir()) if is_folder else [path]
        except (OSError, ValueError, RuntimeError) as error:  # the last: nobody has this home
            raise ConfigurationError(
                f'source {quoted(source)} {describe_file_error(error)}; it must be a picture, a '
                'folder of pictures, a video, or the index of a webcam'
            ) from error
        pictures = [file for file in files if file.suffix.lower() in PICTURE_SUFFIXES]
        if is_folder:
            self._pictures = pictures
            if not pictures:
                raise ConfigurationError(f'source {quoted(source)} is a folder without pictures')
        elif pictures:
            try:
                self._only = read_picture(path, max_pixels)
            except ImageError as error:
                raise ConfigurationError(f'source: {error}') from error
        else:
            self._open(str(path), f'video {quoted(source)}')

    def _open(self, device: int | str, name: str) -> None:
        if isinstance(device, str) and not is_utf8(device):  # OpenCV would end the process
            raise ConfigurationError(f'source: {name} must have a name in UTF-8; rename it')
        self._capture = cv2.VideoCapture(device)
        if not self._capture.isOpened():
            raise ConfigurationError(f'source: {name} cannot be opened')
        width, height = (
            int(self._capture.get(side))
            for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if width * height > self._max_pixels:
            self.close()
            raise ConfigurationError(
                f'source: {name} has frames of {width} x {height} pixels, above the limit of '
                f'{self._max_pixels:,} pixels; max_image_pixels sets this limit'
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate <= FASTEST_RATE else WEBCAM_RATE

    def frames(self) -> Iterator[Pixels]:
        """All frames once, from the start: uint8 [H, W, 3] in bgr order each."""
        if self._capture is not None:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)  # a webcam ignores this
            while True:
                ok, pixels = self._capture.read()
                if not ok:
                    return
                yield pixels  # type: ignore[misc]
        if self._only is not None:
            yield self._only
        for picture in self._pictures:
            try:
                yield read_picture(picture, self._max_pixels)
            except ImageError as error:
                if str(error) not in self.skipped:
                    self.skipped.append(str(error))

    def close(self) -> None:
        """Release a webcam or video."""
        if self._capture is not None:
            self._capture.release()
