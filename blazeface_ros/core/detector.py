"""`FaceDetector`: pictures in, faces out; without memory of other pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from blazeface_ros.backends import Backend, open_backend
from blazeface_ros.core import merging
from blazeface_ros.core.decoding import decode, make_anchors
from blazeface_ros.core.faces import Faces
from blazeface_ros.core.frame import Frame
from blazeface_ros.core.merging import Candidates, lowest_score
from blazeface_ros.core.sampling import sample
from blazeface_ros.core.settings import DetectionSettings
from blazeface_ros.core.tiles import Tile, as_squares, to_frame_coordinates
from blazeface_ros.core.tiling import TilingPlan, plan_tiles
from blazeface_ros.errors import BackendError, ConfigurationError
from blazeface_ros.models.catalogue import find_model

Picture = npt.NDArray[np.uint8] | Frame
#: Seconds that each stage took, by its name.
StageSeconds = dict[str, float]
#: Tiles that go through the network together.
BATCH = 16
#: The largest number of CPU threads that can be asked for: more than the largest machines have.
MOST_THREADS = 256


class FaceDetector:
    """Finds faces in pictures, each by itself.

    Not for use by several threads at once: give each its own, or a lock. For videos and cameras
    there is `FacePipeline`, which knows of earlier frames.

    Args:
        model: a name of `catalogue.MODELS`, or the path of a model file.
        backend: one of `backends.BACKENDS`, or an open backend.
        device: 'auto', or a device as the backend names it.
        threads: number of CPU threads for the network; 0: as many as help.
        score_threshold, iou_threshold, max_faces, smallest_face: see `DetectionSettings`.

    Attributes:
        model: the network.
        model_file: its weights.
        backend: what runs it.
        settings: how pictures are searched. It may be replaced between two calls.
        closed: whether the network was given back.

    Raises:
        ConfigurationError: if a value is out of its range, or a name unknown.
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
        score_threshold: float = 0.0,
        iou_threshold: float = 0.3,
        max_faces: int = 0,
        smallest_face: int = 0,
    ) -> None:
        self.settings = DetectionSettings(score_threshold, iou_threshold, max_faces, smallest_face)
        if not 0 <= threads <= MOST_THREADS:
            raise ConfigurationError(f'threads is {threads}; it must be from 0 to {MOST_THREADS}')
        named, self.model_file = find_model(model)
        if isinstance(backend, str):
            backend = open_backend(backend, named, self.model_file, device=device, threads=threads)
        self.backend = backend
        self.model = backend.model
        self.closed = False
        self._anchors = make_anchors(self.model.grids)
        self._batch = np.empty((0, *self.model.input_shape), np.float32)

    @property
    def description(self) -> str:
        """The network, the library and the device that run it, as text for people."""
        return f'BlazeFace {self.model.name} on {self.backend.description}'

    @property
    def score_threshold(self) -> float:
        """The lowest score of a face, as it is now set."""
        return self.settings.score_threshold or self.model.score_threshold

    def detect(self, picture: Picture) -> Faces:
        """Find the faces of one picture.

        Args:
            picture: uint8 [H, W, 3] in bgr order, or a `Frame`. It is not altered.

        Returns:
            The faces, best score first.

        Raises:
            ImageError: if it is not such a picture.
            BackendError: if the network fails, or was given back.
        """
        return self.detect_batch([picture])[0]

    def detect_batch(self, pictures: Sequence[Picture]) -> list[Faces]:
        """Find the faces of several pictures of any sizes, `BATCH` tiles at a time.

        Args:
            pictures: as for `detect`.

        Returns:
            The faces of each, in the same order.
        """
        return self.detect_batch_timed(pictures)[0]

    def detect_batch_timed(self, pictures: Sequence[Picture]) -> tuple[list[Faces], StageSeconds]:
        """The same, with the seconds of the stages 'sample', 'network' and 'merge'."""
        frames = [Frame.from_picture(picture) for picture in pictures]
        plans = [self.plan(frame.width, frame.height) for frame in frames]
        tiles = [plan.tiles for plan in plans]
        found, seconds = self.detect_in_tiles(frames, plans, tiles, self.settings)
        return [faces.limited(self.settings.max_faces) for faces in found], seconds

    def plan(self, width: int, height: int) -> TilingPlan:
        """The tiles in which a picture of this size is searched."""
        return plan_tiles(width, height, self.settings.smallest_face, self.model.smallest_share)

    def detect_in_tiles(
        self,
        frames: Sequence[Frame],
        plans: Sequence[TilingPlan],
        tiles: Sequence[Sequence[Tile]],
        settings: DetectionSettings,
    ) -> tuple[list[Faces], StageSeconds]:
        """Find the faces that some tiles of several frames show.

        Args:
            frames: the pictures.
            plans: of the frames.
            tiles: of each frame, those to search. They need not be of the plan.
            settings: the thresholds to use in place of the detector's own.

        Returns:
            All faces of each frame, also more than `max_faces`; and the seconds of each stage.
        """
        threshold = settings.score_threshold or self.model.score_threshold
        lowest = min(
            (lowest_score(plan, threshold, self.model.score_threshold) for plan in plans),
            default=threshold,
        )
        candidates, seconds = self._run(frames, tiles, lowest)
        begin = time.perf_counter()
        faces = [self.merge(*one, settings) for one in zip(candidates, plans)]
        seconds['merge'] += time.perf_counter() - begin
        return faces, seconds

    def find_candidates(
        self, frames: Sequence[Frame], tiles: Sequence[Sequence[Tile]], score_threshold: float
    ) -> list[Candidates]:
        """What the network gives for some tiles of several frames, before it is merged.

        Args:
            frames: the pictures.
            tiles: of each frame, those to search.
            score_threshold: candidates with a lower score are left out.
        """
        return self._run(frames, tiles, score_threshold)[0]

    def merge(self, candidates: Candidates, plan: TilingPlan, settings: DetectionSettings) -> Faces:
        """The faces that candidates of a frame show, see `merging.merge`."""
        return merging.merge(candidates, plan, settings, self.model.score_threshold)

    def _run(
        self, frames: Sequence[Frame], tiles: Sequence[Sequence[Tile]], score_threshold: float
    ) -> tuple[list[Candidates], StageSeconds]:
        if self.closed:
            raise BackendError('the detector is closed; open another one')
        seconds = dict.fromkeys(('sample', 'network', 'merge'), 0.0)
        flat = list(chain.from_iterable(tiles))
        owners = np.repeat(np.arange(len(frames)), [len(some) for some in tiles])
        numbers, points, logits = [], [], []
        for first in range(0, len(flat), BATCH):
            begin = time.perf_counter()
            some = slice(first, first + BATCH)
            batch = self._sample([frames[i] for i in owners[some]], flat[some])
            sampled = time.perf_counter()
            outputs = self.backend.infer(batch)
            inferred = time.perf_counter()
            decoded = decode(*outputs, self._anchors, self.model.input_size, score_threshold)
            numbers.append(decoded[0] + first)
            points.append(decoded[1])
            logits.append(decoded[2])
            seconds['sample'] += sampled - begin
            seconds['network'] += inferred - sampled
            seconds['merge'] += time.perf_counter() - inferred
        if not flat:
            nothing = Candidates(
                np.empty((0, 8, 2), np.float32), np.empty(0, np.float32), as_squares([])
            )
            return [nothing] * len(frames), seconds
        begin = time.perf_counter()
        number = np.concatenate(numbers)
        squares = as_squares(flat)[number]
        everything = Candidates(
            to_frame_coordinates(np.concatenate(points), squares), np.concatenate(logits), squares
        )
        candidates = [everything]
        if len(frames) > 1:
            owner = owners[number]
            candidates = [everything.only(owner == i) for i in range(len(frames))]
        seconds['merge'] += time.perf_counter() - begin
        return candidates, seconds

    def _sample(self, frames: Sequence[Frame], tiles: Sequence[Tile]) -> npt.NDArray[np.float32]:
        if len(self._batch) < len(tiles):
            self._batch = np.empty((len(tiles), *self.model.input_shape), np.float32)
        batch = self._batch[: len(tiles)]
        for frame, tile, out in zip(frames, tiles, batch):
            sample(frame, tile, out)
        return batch

    def close(self) -> None:
        """Give the network back; may be called twice."""
        self.closed = True
        self.backend.close()
