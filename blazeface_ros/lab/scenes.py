"""Pictures made for measuring: far faces in large scenes, and a clip of people walking through.

Photographed faces on a background that has none, so that every face is known exactly. The same
seed makes the same pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.core.boxes import overlaps
from blazeface_ros.errors import ConfigurationError
from blazeface_ros.lab.evaluation import Array, GroundTruth, Sample
from blazeface_ros.recordings.media import Pixels

#: The size of all scenes in pixels.
WIDTH, HEIGHT = 1920, 1080
#: The widths of faces in pixels for which detectors are usually compared.
FAR_WIDTHS = (16, 24, 32, 48, 72)
#: A face that is not wider or narrower than asked for by more than this share has that width.
ALIKE = 0.15


def far_scenes(pictures: Iterable[Sample], width: int, seed: int = 0) -> Iterator[Sample]:
    """Show every photographed face once in a scene of 1920 x 1080, so many pixels wide.

    A photo is reduced so that one of its faces gets this width, and pasted anywhere, so that faces
    also fall on the borders of windows. Its other faces of about this width count as well, and
    those of another width are ignored. Photos are never enlarged, as that would measure blur:
    faces narrower than `width` are not shown.

    Args:
        pictures: photos with their faces.
        width: of the faces, in pixels.
        seed: of the positions and backgrounds.

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
            alike = pending & (np.abs(truth.widths * scale - width) <= ALIKE * width)
            scene, shown = _paste_photo(pixels, truth, scale, chosen, alike, rng)
            yield scene, shown
            pending &= shown.ignored
            pending[chosen] = False  # also where its box leaves the photo


def _paste_photo(
    pixels: Pixels,
    truth: GroundTruth,
    scale: float,
    chosen: int,
    demanded: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Sample:
    height, width = pixels.shape[:2]
    small = cv2.resize(
        pixels,
        (max(1, round(width * scale)), max(1, round(height * scale))),
        interpolation=cv2.INTER_AREA,
    )
    shown = np.array(small.shape[1::-1])
    factor = np.array(shown / (width, height), np.float32)  # the size is whole pixels
    boxes = truth.boxes * np.tile(factor, 2)

    room = np.array((WIDTH, HEIGHT))
    slack = room - shown  # negative where only a part of the photo fits
    offset = rng.integers(np.minimum(slack, 0), np.maximum(slack, 0), endpoint=True)
    face = boxes[chosen]
    offset = np.maximum(np.minimum(offset, np.floor(room - face[2:])), np.ceil(-face[:2]))
    x, y = (int(value) for value in offset)
    scene = _background(rng)
    left, top = max(x, 0), max(y, 0)
    part = small[top - y : HEIGHT - y, left - x : WIDTH - x]
    scene[top : top + part.shape[0], left : left + part.shape[1]] = part

    start = np.array((x, y), np.float32)
    boxes += np.tile(start, 2)
    inside = ((boxes[:, :2] >= 0) & (boxes[:, 2:] <= room)).all(1)
    keypoints = truth.keypoints * factor + start
    return scene, GroundTruth(boxes, keypoints, ~(demanded & inside))


def _background(rng: np.random.Generator) -> Pixels:
    """Smooth clouds with a tint of colour, uint8 [1080, 1920, 3]."""
    scene = np.full((HEIGHT, WIDTH, 3), 120, np.float32)
    for rows, contrast in ((4, 50), (18, 20), (72, 8)):
        shape = rows, rows * 16 // 9
        clouds = rng.uniform(-1, 1, (*shape, 1)) + rng.uniform(-0.3, 0.3, (*shape, 3))
        scene += cv2.resize((contrast * clouds).astype(np.float32), (WIDTH, HEIGHT))
    return np.clip(scene, 0, 255).astype(np.uint8)


class Head(NamedTuple):
    """A photographed head, cut out.

    Attributes:
        pixels: uint8 [H, W, 3] in bgr order.
        box: float32 [4], x0, y0, x1, y1 of the face within it, in pixels.
    """

    pixels: Pixels
    box: Array


#: How much of a head is cut out beyond the face's box, in widths of the face: left and right,
#: above, below.
_MARGINS = (0.35, 0.5, 0.35)


def cut_heads(pictures: Iterable[Sample], smallest: int = 32) -> list[Head]:
    """Cut the heads out of photos that are whole and not overlapped by another's face.

    Args:
        pictures: photos with their faces.
        smallest: the width in pixels below which a face is left out.
    """
    heads = []
    side, above, below = _MARGINS
    for pixels, truth in pictures:
        height, width = pixels.shape[:2]
        for i in np.nonzero(~truth.ignored & (truth.widths >= smallest))[0]:
            margin = truth.widths[i] * np.array((-side, -above, side, below), np.float32)
            cut = np.rint(truth.boxes[i] + margin)
            x0, y0, x1, y1 = (int(value) for value in cut)
            others = np.delete(truth.boxes, i, 0)
            alone = not overlaps(cut[None], others).any()
            if alone and x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
                box = truth.boxes[i] - np.array((x0, y0, x0, y0), np.float32)
                heads.append(Head(pixels[y0:y1, x0:x1].copy(), box))
    return heads


class ClipFrame(NamedTuple):
    """One frame of a clip.

    Attributes:
        pixels: uint8 [1080, 1920, 3] in bgr order.
        truth: the P faces of which any part is in the frame, also hidden ones; the boxes are not
            clipped. A face of which less than half is seen is ignored: it is not visible.
        persons: int [P], the number of the person, from 0; the same through the whole clip.
    """

    pixels: Pixels
    truth: GroundTruth
    persons: npt.NDArray[np.intp]

    @property
    def visible(self) -> npt.NDArray[np.bool_]:
        """Of each face, bool [P], whether at least half of the face is seen."""
        return ~self.truth.ignored


class _Walk(NamedTuple):
    """How a person goes; lengths in pixels, times in seconds from the start of the clip."""

    head: Head
    middle: tuple[float, float]  #: where the face's centre is at half-time
    velocity: tuple[float, float]
    width: float  #: of the face at half-time
    growth: float  #: of the width over the clip, as a share
    phase: float  #: of the bobbing
    pillar: tuple[slice, slice] | None  #: rows and columns of what hides them

    def face_at(self, time: float, half_time: float) -> tuple[float, float, float]:
        """The face's centre x, y and its width."""
        since = time - half_time
        width = self.width * (1 + self.growth * since / (2 * half_time))
        bob = 0.05 * width * np.sin(2 * np.pi * STEPS_A_SECOND * time + self.phase)
        x, y = (m + v * since for m, v in zip(self.middle, self.velocity))
        return x, y + bob, width


#: How long a pillar hides a face, in seconds, and how often heads bob.
HIDDEN_SECONDS = 0.5
STEPS_A_SECOND = 1.8
#: The widths of walking faces in pixels.
NARROWEST, WIDEST = 32, 200
#: Beyond this, an enlarged head would be too blurred to be told from another.
MOST_ENLARGED = 1.25
_GROWTH = 0.2


def walking_clip(
    heads: Sequence[Head],
    people: int = 6,
    seconds: float = 10.0,
    rate: float = 10.0,
    seed: int = 0,
) -> Iterator[ClipFrame]:
    """Frames of people who walk past a resting camera.

    Each goes at a steady pace of 2 to 3.5 face widths a second, a little up and down, and comes
    slowly nearer or goes away. Neighbouring lanes cross in opposite directions, so that nobody is
    covered by another for longer than a moment. Every other person passes behind a pillar that
    hides the face for half a second.

    Args:
        heads: from `cut_heads`; the largest are used, for as large faces as they are good for.
        people: how many walk.
        seconds: how long.
        rate: frames a second.
        seed: of everything.

    Raises:
        ConfigurationError: if there is no head, or a number is not positive.
    """
    if not heads:
        raise ConfigurationError(
            'there are no heads for the clip: no face is large and free enough'
        )
    for name, value in (('people', people), ('seconds', seconds), ('rate', rate)):
        if value <= 0:
            raise ConfigurationError(f'{name} is {value}; it must be more than 0')
    return _frames(heads, people, seconds, rate, np.random.default_rng(seed))


def _frames(
    heads: Sequence[Head], people: int, seconds: float, rate: float, rng: np.random.Generator
) -> Iterator[ClipFrame]:
    background = _background(rng)
    # The camera's noise: showing parts of one field is much faster than drawing it anew.
    noise = rng.normal(0, 2, (HEIGHT + 64, WIDTH + 64, 3)).astype(np.int16)
    walks = _plan(heads, people, seconds, rng)
    for index in range(round(seconds * rate)):
        pixels = background.copy()
        owners = np.full((HEIGHT, WIDTH), -1, np.int16)  # whose face is seen at each pixel
        boxes: dict[int, Array] = {}
        whole: dict[int, int] = {}
        places = [walk.face_at(index / rate, seconds / 2) for walk in walks]
        # Nobody passes behind the pillar of another: that would take longer, or less.
        for person in sorted(range(people), key=lambda i: (not walks[i].pillar, places[i][2])):
            walk = walks[person]
            boxes[person], whole[person] = _draw(pixels, owners, person, walk.head, places[person])
            if walk.pillar is not None:
                pixels[walk.pillar] = (90, 100, 110)
                owners[walk.pillar] = -1
        seen = {i: np.count_nonzero(owners == i) / whole[i] for i in boxes}
        persons = [
            i
            for i, (x0, y0, x1, y1) in sorted(boxes.items())
            if x0 < WIDTH and y0 < HEIGHT and x1 > 0 and y1 > 0
        ]
        x, y = rng.integers(0, 64, 2)
        shown = np.clip(pixels + noise[y : y + HEIGHT, x : x + WIDTH], 0, 255).astype(np.uint8)
        truth = GroundTruth.of(
            [boxes[i] for i in persons], ignored=[seen[i] < 0.5 for i in persons]
        )
        yield ClipFrame(shown, truth, np.array(persons, np.intp))


def _plan(
    heads: Sequence[Head], people: int, seconds: float, rng: np.random.Generator
) -> list[_Walk]:
    walks = []
    widths = np.geomspace(WIDEST / (1 + _GROWTH / 2), NARROWEST / (1 - _GROWTH / 2), people)
    lane_height = HEIGHT / (people + 1)
    largest = sorted(heads, key=lambda head: float(head.box[0] - head.box[2]))
    for i, rank in enumerate(rng.permutation(people)):
        head = largest[rank % len(heads)]
        source = float(head.box[2] - head.box[0])
        width = max(widths[-1], min(widths[rank], MOST_ENLARGED * source / (1 + _GROWTH / 2)))
        direction = 1 if i % 2 else -1
        speed = width * rng.uniform(2, 3.5)
        # Two and two people change lanes, and meet on the way as they come from opposite sides.
        change = direction * lane_height
        middle = rng.uniform(0.3, 0.7) * WIDTH, (i - i % 2 + 1.5) * lane_height
        velocity = direction * speed, change / seconds
        pillar = None
        if i % 2 == 0:
            # For this long the face's centre is behind it, and so is more than half of the face.
            half = HIDDEN_SECONDS * speed / 2
            time = rng.choice((-0.12, 0.12)) * seconds
            x, y = (m + v * time for m, v in zip(middle, velocity))
            if not half < x < WIDTH - half:
                x, y = (m - v * time for m, v in zip(middle, velocity))
            rows = slice(max(0, round(y - 1.1 * width)), max(0, round(y + 1.1 * width)))
            pillar = rows, slice(max(0, round(x - half)), max(0, round(x + half)))
        growth = rng.uniform(0.5, 1) * _GROWTH * rng.choice((-1, 1))
        phase = rng.uniform(0, 2 * np.pi)
        walks.append(_Walk(head, middle, velocity, width, growth, phase, pillar))
    return walks


def _draw(
    pixels: Pixels,
    owners: npt.NDArray[np.int16],
    person: int,
    head: Head,
    place: tuple[float, float, float],
) -> tuple[Array, int]:
    """Paste a head with soft edges.

    Returns:
        The face's box as drawn, float32 [4], and of how many pixels the face would consist if all
        of it were seen.
    """
    x, y, width = place
    box = head.box
    scale = width / (box[2] - box[0])
    height_px, width_px = head.pixels.shape[:2]
    size = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    drawn = cv2.resize(head.pixels, size, interpolation=interpolation)
    box = box * np.array((size[0] / width_px, size[1] / height_px) * 2, np.float32)
    left, top = round(x - float(box[0] + box[2]) / 2), round(y - float(box[1] + box[3]) / 2)

    # 1 in the middle of the cut, and down to 0 at the ellipse that touches its sides.
    down, right = (np.linspace(-1, 1, n, dtype=np.float32) for n in size[::-1])
    distance = np.sqrt(down[:, None] ** 2 + right[None] ** 2)
    alpha = np.clip((1 - distance) / 0.2, 0, 1)
    x0, y0, x1, y1 = (int(value) for value in np.rint(box))
    face = np.zeros(alpha.shape, bool)
    face[y0:y1, x0:x1] = alpha[y0:y1, x0:x1] > 0.5

    rows = slice(max(0, -top), max(0, HEIGHT - top))
    columns = slice(max(0, -left), max(0, WIDTH - left))
    target = tuple(
        slice(max(0, start), max(0, start + n)) for start, n in ((top, size[1]), (left, size[0]))
    )
    weight = alpha[rows, columns, None]
    under = pixels[target]
    pixels[target] = np.rint(drawn[rows, columns] * weight + under * (1 - weight)).astype(np.uint8)
    seen = owners[target]
    seen[weight[..., 0] > 0.5] = -1  # a head also covers others beside its face
    seen[face[rows, columns]] = person
    return box + np.array((left, top) * 2, np.float32), int(face.sum())
