"""`FacePipeline`: frames of cameras and videos in, faces with ids out.

Everything that knows of earlier frames is here: which tiles to search next, and which face is
which. The node, videos and recordings all use it.

    frames ─► plan ─► tiles (all, or a scan's choice) ─► FaceDetector ─► Tracker ─► results
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from blazeface_ros.backends import Backend
from blazeface_ros.core.detector import FaceDetector, Picture, StageSeconds
from blazeface_ros.core.faces import Faces
from blazeface_ros.core.frame import Frame
from blazeface_ros.core.scan import ScanOrder, share_budget
from blazeface_ros.core.settings import PipelineSettings
from blazeface_ros.core.tiles import Tile, as_squares
from blazeface_ros.core.tiling import TilingPlan, plan_tiles
from blazeface_ros.core.tracking import Searched, Tracker
from blazeface_ros.errors import ImageError

#: The network's boxes of one face differ in size from tile to tile, by up to this factor.
BOX_TOLERANCE = 1.25


class CameraFrame(NamedTuple):
    """One picture of one camera.

    Attributes:
        picture: uint8 [H, W, 3] in bgr order, or a `Frame`.
        stamp: when it was taken, in seconds.
        camera: the camera's name; any text.
    """

    picture: Picture
    stamp: float
    camera: str = ''


@dataclass(frozen=True)
class FrameResult:
    """What came of one frame.

    Attributes:
        faces: in pixels of the frame, best score first; those that are only predicted come last.
        tiles: that were searched.
        plan: all tiles of frames of this size.
    """

    faces: Faces
    tiles: tuple[Tile, ...]
    plan: TilingPlan


class _CameraState:
    """What the pipeline remembers of one camera."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self.tracker = Tracker(numbers=numbers)
        self.scan_order = ScanOrder()


class FacePipeline:
    """Finds and follows the faces in the frames of cameras and videos.

    Not for use by several threads at once; only `settings` may be replaced by another thread.

    >>> import numpy as np
    >>> with FacePipeline(tracking=True, threads=1) as pipeline:
    ...     result = pipeline.process(np.zeros((480, 640, 3), np.uint8), stamp=0.0)
    >>> result.faces, len(result.tiles)
    (Faces(0), 1)

    Args:
        model: a name of `catalogue.MODELS`, or the path of a model file.
        backend: one of `backends.BACKENDS`, or an open backend.
        device: 'auto', or a device as the backend names it.
        threads: number of CPU threads for the network; 0: as many as help.
        settings: fields of `PipelineSettings`, such as `smallest_face=32` or `tracking=True`.

    Attributes:
        detector: finds the faces of single frames. It may be replaced between two calls.
        settings: a `PipelineSettings`. It is replaced whole, and counts from the next call on.
        stage_seconds: seconds of the stages 'sample', 'network', 'merge' and 'track' of the last
            call.

    Raises:
        ConfigurationError: if a value is not allowed, or a name unknown.
        ModelError: if the model file is missing or not such a network.
        BackendError: if what should run it is missing.
    """

    def __init__(
        self,
        model: str = 'back',
        backend: str | Backend = 'onnxruntime',
        *,
        device: str = 'auto',
        threads: int = 0,
        **settings: Any,
    ) -> None:
        checked = PipelineSettings(**settings)
        self._start(FaceDetector(model, backend, device=device, threads=threads), checked)

    @classmethod
    def from_detector(
        cls,
        detector: FaceDetector,
        settings: PipelineSettings | None = None,
        numbers: Iterator[int] | None = None,
    ) -> FacePipeline:
        """A pipeline on a detector that is open already.

        Args:
            detector: its network is used; its own settings are not.
            settings: None: the defaults.
            numbers: gives the numbers of new ids. Pipelines that share it never give the same id.
        """
        pipeline = cls.__new__(cls)
        pipeline._start(detector, settings or PipelineSettings(), numbers)
        return pipeline

    def _start(
        self,
        detector: FaceDetector,
        settings: PipelineSettings,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.detector = detector
        self.settings = settings
        self.stage_seconds: StageSeconds = {}
        self._cameras: dict[str, _CameraState] = {}
        # Of ids, for all cameras.
        self._numbers = itertools.count(1) if numbers is None else numbers

    def process(self, picture: Picture, stamp: float, camera: str = '') -> FrameResult:
        """Find the faces of a camera's next frame.

        Args:
            picture: uint8 [H, W, 3] in bgr order, or a `Frame`. It is not altered.
            stamp: when it was taken, in seconds. If a camera's time goes back, all its ids end.
            camera: its name; each name has ids and a scan of its own.

        Raises:
            ImageError: if it is not such a picture, or the stamp is no finite number.
            BackendError: if the network fails.
        """
        return self.process_batch([CameraFrame(picture, stamp, camera)])[0]

    def process_batch(self, batch: Sequence[CameraFrame]) -> list[FrameResult]:
        """Find the faces of the next frames of several cameras together.

        Args:
            batch: as for `process`.

        Returns:
            A result for each frame, in the same order.
        """
        settings = self.settings  # another thread may replace it meanwhile
        for _, stamp, _ in batch:
            if not math.isfinite(stamp):
                raise ImageError(f'the stamp of a frame is {stamp}; it must be a finite number')
        frames = [Frame.from_picture(picture) for picture, _, _ in batch]
        share = self.detector.model.smallest_share
        plans = [
            plan_tiles(frame.width, frame.height, settings.smallest_face, share) for frame in frames
        ]
        cameras = [self._camera(camera) for _, _, camera in batch]
        begin = time.perf_counter()
        tiles = self._choose_tiles(batch, frames, plans, cameras, settings)
        chosen = time.perf_counter()
        found, seconds = self.detector.detect_in_tiles(frames, plans, tiles, settings)
        detected = time.perf_counter()
        results = []
        for camera, frame, faces, some, plan in zip(cameras, batch, found, tiles, plans):
            if settings.tracking or settings.search == 'scan':
                faces = _track(camera.tracker, faces, frame.stamp, _searched(some, plan), settings)
            # Faces beyond the limit are followed like others, but not given out.
            faces = faces.limited(settings.max_faces)
            results.append(FrameResult(faces, tuple(some), plan))
        seconds['track'] = chosen - begin + time.perf_counter() - detected
        self.stage_seconds = seconds
        return results

    def _choose_tiles(
        self,
        batch: Sequence[CameraFrame],
        frames: Sequence[Frame],
        plans: Sequence[TilingPlan],
        cameras: Sequence[_CameraState],
        settings: PipelineSettings,
    ) -> list[Sequence[Tile]]:
        """The tiles to search of each frame."""
        tiles: list[Sequence[Tile]] = [plan.tiles for plan in plans]
        if settings.search == 'scan':
            budget = settings.tiles_per_frame * len(batch)
            shares = share_budget(budget, [len(plan.tiles) for plan in plans])
            for i, (share, plan, camera) in enumerate(zip(shares, plans, cameras)):
                if share < len(plan.tiles):
                    expected = camera.tracker.expected(batch[i].stamp)
                    tiles[i] = camera.scan_order.choose(plan, expected, frames[i], share)
        return tiles

    def trails(self, camera: str = '') -> dict[str, npt.NDArray[np.float32]]:
        """Where a camera's tracked faces have been lately.

        Returns:
            For each id the centres of its box, newest last: float32 [P, 2] in pixels.
        """
        return self._camera(camera).tracker.trails()

    def forget(self, camera: str = '') -> None:
        """Forget all frames of a camera."""
        self._cameras.pop(camera, None)

    def _camera(self, name: str) -> _CameraState:
        if name not in self._cameras:
            self._cameras[name] = _CameraState(self._numbers)
        return self._cameras[name]

    def close(self) -> None:
        """Give the network back; may be called twice."""
        self.detector.close()

    def __enter__(self) -> FacePipeline:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _searched(tiles: Sequence[Tile], plan: TilingPlan) -> Searched | None:
    """Where these tiles would have shown a face for sure; None: everywhere.

    A tile would have done so if it shows the box reliably, and also if the box were larger or
    smaller by `BOX_TOLERANCE`. Otherwise faces at a limit of size would vanish from a scan whenever
    a large tile has its turn.
    """
    if len(tiles) == len(plan.tiles):  # a scan that has time for all of them takes the plan itself
        return None
    squares = as_squares(tiles)

    def searched(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        shown = np.ones((len(boxes), len(squares)), np.bool_)
        for factor in (1 / BOX_TOLERANCE, BOX_TOLERANCE):
            room = (boxes[:, 2:] - boxes[:, :2]) * np.float32((factor - 1) / 2)
            resized = np.concatenate([boxes[:, :2] - room, boxes[:, 2:] + room], axis=1)
            shown &= plan.shows_reliably(resized[:, None], squares)
        return np.asarray(shown.any(axis=1))

    return searched


def _track(
    tracker: Tracker,
    faces: Faces,
    stamp: float,
    searched: Searched | None,
    settings: PipelineSettings,
) -> Faces:
    """The faces with those that are only predicted, and with ids if these are wanted."""
    tracker.lost_after = settings.track_lost_after
    tracker.smooth = settings.track_smoothing
    tracked = tracker.update(faces, stamp, searched)
    return tracked if settings.tracking else replace(tracked, ids=())
