"""Frames in, faces out: the way of the data from pictures to `Faces`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blazeface_ros.backends import open_backend
from blazeface_ros.core.decoding import decode, make_anchors, merge_overlapping, merge_windows
from blazeface_ros.core.faces import Faces
from blazeface_ros.core.tiles import (
    Frame,
    Levels,
    Window,
    crop,
    judge,
    levels,
    to_frame_coordinates,
)
from blazeface_ros.errors import BackendError, ConfigurationError
from blazeface_ros.models.catalogue import find_model

Picture = npt.NDArray[np.uint8] | Frame
#: Windows that go through the network together.
BATCH = 16
#: Of the network, on the largest of machines.
MOST_THREADS = 256


class FaceDetector:
    """Finds faces in pictures.

    Not for use by several threads at once: give each its own, or a lock.

    Args:
        model: a name of `catalogue.MODELS`, or the path of a model file.
        backend: one of `backends.BACKENDS`.
        device: 'auto', or a device as the backend names it.
        threads: of the network on a CPU; 0: as many as help.
        score_threshold: between 0 and 1; 0: the model's own.
        iou_threshold: of the non-maximum suppression, between 0 and 1.
        max_faces: the best so many of each picture; 0: no limit.
        smallest_face: width in pixels of the picture; 0: what one look at the whole shows, else
            smaller windows are looked at as well.
        backend_options: that the backend alone has, such as `compile` of 'torch'.

    Attributes:
        model: the network.
        backend: what runs it.
        seconds: what the stages of the last call took.
        network_since: when the network's call in progress began (`time.monotonic`), None if there
            is none; for other threads to read.
        slowest: seconds of the slowest call of the network in the last `detect_batch`.
        cancelled: if another thread sets it, `detect_batch` ends with a BackendError after the
            network's call in progress.

    Raises:
        ConfigurationError: if a value is out of its range, or a name unknown.
        ModelError: if the model file is missing or not such a network.
        BackendError: if what should run it is missing.
    """

    def __init__(
        self,
        model: str = 'back',
        backend: str = 'onnxruntime',
        *,
        device: str = 'auto',
        threads: int = 0,
        score_threshold: float = 0.0,
        iou_threshold: float = 0.3,
        max_faces: int = 0,
        smallest_face: int = 0,
        **backend_options: Any,
    ) -> None:
        whole_numbers = {'threads': threads, 'max_faces': max_faces, 'smallest_face': smallest_face}
        for name, value in whole_numbers.items():
            if value < 0:
                raise ConfigurationError(f'{name} is {value}; it must be 0 or more')
        if threads > MOST_THREADS:
            raise ConfigurationError(f'threads is {threads}; it must be {MOST_THREADS} at most')
        _check_thresholds(score_threshold, iou_threshold)
        named, self.model_file = find_model(model)
        self.backend = open_backend(
            backend,
            named,
            self.model_file,
            device=device,
            threads=threads,
            **backend_options,
        )
        self.model = self.backend.model
        self.max_faces = max_faces
        self.smallest_face = smallest_face
        self.set_thresholds(score_threshold, iou_threshold)
        self.seconds: dict[str, float] = {}
        self.network_since: float | None = None
        self.slowest = 0.0
        self.cancelled = False
        self._anchors = make_anchors(self.model.grids)
        self._batch = np.empty((0, 3, self.model.input_size, self.model.input_size), np.float32)

    def set_thresholds(self, score_threshold: float, iou_threshold: float) -> None:
        """Change what counts as a face, from the next picture on.

        Args:
            score_threshold: between 0 and 1; 0: the model's own.
            iou_threshold: between 0 and 1.

        Raises:
            ConfigurationError: if a value is out of its range.
        """
        _check_thresholds(score_threshold, iou_threshold)
        self.score_threshold = score_threshold or self.model.score_threshold
        self.iou_threshold = iou_threshold

    def detect(self, picture: Picture) -> Faces:
        """Find the faces of one picture.

        Args:
            picture: uint8 [H, W, 3] in bgr order, or a `Frame`; it is not altered.

        Raises:
            ImageError: if it is not such a picture.
            BackendError: if the network fails.
        """
        return self.detect_batch([picture])[0]

    def detect_batch(
        self, pictures: Sequence[Picture], windows: Sequence[Window] | None = None
    ) -> list[Faces]:
        """Find the faces of several pictures, of any sizes, `BATCH` windows at a time.

        Args:
            pictures: as for `detect`.
            windows: where to look; None: in all windows of their `plan`.

        Returns:
            The faces of each, in the same order.
        """
        frames = [Frame.of(picture) for picture in pictures]
        if windows is None:
            windows = [
                Window(i, *window)
                for i, frame in enumerate(frames)
                for window in self.plan(frame.width, frame.height).windows
            ]
        if not windows:
            self.seconds = dict.fromkeys(self.seconds, 0.0)
            return [Faces.none() for _ in frames]
        begin = time.perf_counter()
        cropping = self.slowest = 0.0
        outputs = []
        for first in range(0, len(windows), BATCH):
            cropped = time.perf_counter()
            batch = self._crop(frames, windows[first : first + BATCH])
            cropping += time.perf_counter() - cropped
            outputs.append(self._infer(batch))
            if self.cancelled:
                raise BackendError('the search was cancelled')
        inferred = time.perf_counter()
        faces = self._merge(frames, windows, outputs)
        end = time.perf_counter()
        self.seconds = {'window': cropping, 'network': inferred - begin - cropping}
        self.seconds['merge'] = end - inferred
        return faces

    def plan(self, width: int, height: int) -> Levels:
        """All windows in which the faces from `smallest_face` up are seen, in a frame of a size."""
        return levels(width, height, self.smallest_face, self.model.smallest_share)

    def _crop(
        self, frames: Sequence[Frame], windows: Sequence[Window]
    ) -> npt.NDArray[np.float32]:
        if len(self._batch) < len(windows):
            self._batch = np.empty((len(windows), *self._batch.shape[1:]), np.float32)
        batch = self._batch[: len(windows)]
        for window, out in zip(windows, batch):
            crop(frames[window.frame], window, out)
        return batch

    def _infer(
        self, batch: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        self.network_since = begin = time.monotonic()
        try:
            return self.backend.infer(batch)
        finally:
            self.network_since = None
            self.slowest = max(self.slowest, time.monotonic() - begin)

    def _merge(
        self,
        frames: Sequence[Frame],
        windows: Sequence[Window],
        outputs: Sequence[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]],
    ) -> list[Faces]:
        """Bring the candidates of all windows together, frame by frame."""
        decoded = [
            decode(*raw, self._anchors, self.model.input_size, self.score_threshold)
            for raw in outputs
        ]
        found_in = np.concatenate([part[0] + i * BATCH for i, part in enumerate(decoded)])
        points = np.concatenate([part[1] for part in decoded])
        scores = np.concatenate([part[2] for part in decoded])
        seen_in = np.array(windows, np.float32)[found_in]
        frame_of, squares = seen_in[:, 0], seen_in[:, 1:]
        points = to_frame_coordinates(points, squares)
        faces = []
        for i, frame in enumerate(frames):
            mine = frame_of == i
            merged, merged_scores = self._merge_frame(
                frame, points[mine], scores[mine], squares[mine]
            )
            found = Faces(merged[:, :2].reshape(-1, 4), merged[:, 2:], merged_scores)
            faces.append(found.best(self.max_faces) if self.max_faces else found)
        return faces

    def _merge_frame(
        self,
        frame: Frame,
        points: npt.NDArray[np.float32],
        scores: npt.NDArray[np.float32],
        squares: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Merge what was found in some windows of a frame."""
        width, height = frame.width, frame.height
        longest = max(width, height)
        finest = self.plan(width, height).windows[-1][2]
        if finest == longest and (squares[:, 2] >= longest).all():
            return merge_overlapping(points, scores, self.iou_threshold)
        share = self.model.smallest_share
        part, clear = judge(points, squares, (width, height), finest, share)
        # What small windows would tell for sure, the whole frame alone does not.
        doubtful = share * longest if finest < longest else 0.0
        return merge_windows(
            points[clear], scores[clear], part[clear], doubtful, self.iou_threshold
        )

    def close(self) -> None:
        """Give the network back; may be called twice."""
        self.backend.close()


def _check_thresholds(score_threshold: float, iou_threshold: float) -> None:
    for name, value in (('score_threshold', score_threshold), ('iou_threshold', iou_threshold)):
        if not 0 <= value <= 1:
            raise ConfigurationError(f'{name} is {value}; it must be between 0 and 1')
