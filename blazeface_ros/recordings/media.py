"""Pictures, folders, videos and webcams as one stream of frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.errors import ConfigurationError, ImageError

Pixels = npt.NDArray[np.uint8]

PICTURE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')
#: Frames per second of pictures.
PICTURE_RATE = 10.0
#: Frames per second of a webcam that gives no sensible rate, but 0, -1 or not a number.
WEBCAM_RATE = 30.0
#: A higher rate in frames per second is taken for a mistake.
FASTEST_RATE = 1000.0


def read_picture(file: str | Path) -> Pixels:
    """Read a picture file as uint8 [H, W, 3] in bgr order.

    Raises:
        ImageError: if the file is missing or is not a picture.
    """
    path = Path(file)
    if path.is_dir():
        raise ImageError(f"'{path}' is a folder; name the pictures in it")
    if not path.is_file():
        raise ImageError(f"picture '{path}' does not exist")
    # Decoded from memory, as imread fails with some systems' file names, and warns on stderr.
    try:
        data = np.fromfile(path, np.uint8)
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error) as error:
        raise ImageError(f"'{path}' cannot be read: {error}") from error
    if pixels is None:
        raise ImageError(f"'{path}' is not a picture that OpenCV can read")
    return pixels  # type: ignore[return-value]


class Media:
    """A source of frames, checked when it is opened.

    Args:
        source: a picture, a folder of pictures, a video, or the index of a webcam.

    Attributes:
        rate: frames per second: that of the video or webcam, `PICTURE_RATE` for pictures.
        skipped: pictures of a folder that could not be read.

    Raises:
        ConfigurationError: if there is nothing to show.
    """

    def __init__(self, source: str) -> None:
        self.skipped: list[str] = []
        self.rate = PICTURE_RATE
        self._pictures: list[Path] = []
        #: A single picture, decoded once, however often it is shown.
        self._only: Pixels | None = None
        self._capture: cv2.VideoCapture | None = None
        path = Path(source).expanduser()
        if source.isdecimal():
            self._open(int(source), f'webcam {source}')
        elif path.is_dir():
            self._pictures = sorted(
                file for file in path.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES
            )
            if not self._pictures:
                raise ConfigurationError(f"source '{source}' is a folder without pictures")
        elif not path.is_file():
            raise ConfigurationError(
                f"source '{source}' does not exist; it must be a picture, a folder of pictures, "
                'a video, or the index of a webcam'
            )
        elif path.suffix.lower() in PICTURE_SUFFIXES:
            try:
                self._only = read_picture(path)
            except ImageError as error:
                raise ConfigurationError(f'source: {error}') from error
        else:
            self._open(str(path), f"video '{source}'")

    def _open(self, device: int | str, name: str) -> None:
        self._capture = cv2.VideoCapture(device)
        if not self._capture.isOpened():
            raise ConfigurationError(f'source: {name} cannot be opened')
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
                yield read_picture(picture)
            except ImageError as error:
                if str(error) not in self.skipped:
                    self.skipped.append(str(error))

    def close(self) -> None:
        """Release a webcam or video."""
        if self._capture is not None:
            self._capture.release()
