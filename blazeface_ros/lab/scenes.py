"""Large pictures with small faces, made for measuring how far away faces are found.

Photographed faces on a background that shows none, so that every face is known exactly. The same
seed makes the same pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.errors import ConfigurationError
from blazeface_ros.lab.ground_truth import GroundTruth, Sample
from blazeface_ros.recordings.media import Pixels

#: The size of all scenes in pixels.
WIDTH, HEIGHT = 1920, 1080
#: The widths of faces in pixels for which detectors are usually compared.
FAR_WIDTHS = (16, 24, 32, 48, 72)
#: A face has the demanded width if it is wider or narrower by no more than this share of it.
WIDTH_TOLERANCE = 0.15


def far_scenes(pictures: Iterable[Sample], width: int, seed: int = 0) -> Iterator[Sample]:
    """Show every photographed face once in a scene of 1920 x 1080, with a given width.

    A photo is reduced so that one of its faces gets this width. It is pasted anywhere in the
    scene, so that faces also fall on the borders of tiles. The other faces of the photo count as
    well if they have about this width, and are ignored otherwise. Photos are never enlarged,
    because that would measure blur: faces narrower than `width` are not shown.

    Args:
        pictures: photos with their faces.
        width: the width of the faces in pixels.
        seed: fixes the positions and the backgrounds.

    Raises:
        ConfigurationError: if the width is less than 1.
    """
    if width < 1:
        raise ConfigurationError(f'width is {width}; a face must be 1 pixel wide or more')
    rng = np.random.default_rng((seed, width))
    for pixels, truth in pictures:
        pending = ~truth.ignored & (truth.widths >= width)
        while pending.any():
            chosen = int(np.argmax(pending))
            scale = width / float(truth.widths[chosen])
            off = np.abs(truth.widths * scale - width)
            demanded = pending & (off <= WIDTH_TOLERANCE * width)
            scene, shown = _paste_photo(pixels, truth, scale, chosen, demanded, rng)
            yield scene, shown
            pending &= shown.ignored
            pending[chosen] = False  # also if its box reaches beyond the photo


def _paste_photo(
    pixels: Pixels,
    truth: GroundTruth,
    scale: float,
    chosen: int,
    demanded: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Sample:
    """Make a scene with a photo.

    Args:
        pixels: the photo.
        truth: its N faces.
        scale: the size of the photo in the scene as a share of its own.
        chosen: index of the face that must lie inside the scene.
        demanded: bool [N]. The other faces are ignored.
        rng: chooses the position and the background.
    """
    height, width = pixels.shape[:2]
    small = cv2.resize(
        pixels,
        (max(1, round(width * scale)), max(1, round(height * scale))),
        interpolation=cv2.INTER_AREA,
    )
    size = np.array(small.shape[1::-1])
    factor = np.array(size / (width, height), np.float32)  # not quite `scale`: the size is whole
    boxes = truth.boxes * np.tile(factor, 2)

    room = np.array((WIDTH, HEIGHT))
    slack = room - size  # negative where only a part of the photo fits
    offset = rng.integers(np.minimum(slack, 0), np.maximum(slack, 0), endpoint=True)
    face = boxes[chosen]
    offset = np.maximum(np.minimum(offset, np.floor(room - face[2:])), np.ceil(-face[:2]))
    x, y = (int(value) for value in offset)
    scene = make_background(rng)
    left, top = max(x, 0), max(y, 0)
    part = small[top - y : HEIGHT - y, left - x : WIDTH - x]
    scene[top : top + part.shape[0], left : left + part.shape[1]] = part

    start = np.array((x, y), np.float32)
    boxes += np.tile(start, 2)
    inside = ((boxes[:, :2] >= 0) & (boxes[:, 2:] <= room)).all(1)
    keypoints = truth.keypoints * factor + start
    return scene, GroundTruth(boxes, keypoints, ~(demanded & inside))


def make_background(rng: np.random.Generator) -> Pixels:
    """Draw smooth clouds with a tint of colour, uint8 [1080, 1920, 3]."""
    scene = np.full((HEIGHT, WIDTH, 3), 120, np.float32)
    for rows, contrast in ((4, 50), (18, 20), (72, 8)):
        shape = rows, rows * 16 // 9
        clouds = rng.uniform(-1, 1, (*shape, 1)) + rng.uniform(-0.3, 0.3, (*shape, 3))
        scene += cv2.resize((contrast * clouds).astype(np.float32), (WIDTH, HEIGHT))
    return np.clip(scene, 0, 255).astype(np.uint8)
