"""Video clips of people who walk past a camera, made for measuring scans and tracking.

Photographed heads move over a background that shows no faces, so that every face is known exactly.
The same seed makes the same clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.core.boxes import intersections
from blazeface_ros.errors import ConfigurationError
from blazeface_ros.lab.ground_truth import Array, GroundTruth, Sample
from blazeface_ros.lab.scenes import HEIGHT, WIDTH, make_background
from blazeface_ros.recordings.media import Pixels

#: How much of a head is cut out beyond the face's box, in widths of the face: left and right,
#: above, below.
MARGINS = (0.35, 0.5, 0.35)
#: The widths of walking faces in pixels.
NARROWEST, WIDEST = 32, 200
#: A head that is enlarged further would be too blurred to be told from another.
MOST_ENLARGED = 1.25
#: How much the width of a face changes over a clip at most, as a share of the width.
MOST_GROWTH = 0.2
#: For how many seconds a pillar hides a face.
HIDDEN_SECONDS = 0.5
#: How often a second heads move up and down.
STEPS_PER_SECOND = 1.8
#: The colour of pillars, in bgr order.
PILLAR_COLOR = (90, 100, 110)


class Head(NamedTuple):
    """A photographed head, cut out.

    Attributes:
        pixels: uint8 [H, W, 3] in bgr order.
        box: float32 [4], x0, y0, x1, y1 of the face within it, in pixels.
    """

    pixels: Pixels
    box: Array


def cut_heads(pictures: Iterable[Sample], smallest: int = 32) -> list[Head]:
    """Cut heads out of photos. A head must be whole, and no other face may reach into it.

    Args:
        pictures: photos with their faces.
        smallest: faces that are narrower, in pixels, are left out.
    """
    heads = []
    side, above, below = MARGINS
    for pixels, truth in pictures:
        height, width = pixels.shape[:2]
        for i in np.nonzero(~truth.ignored & (truth.widths >= smallest))[0]:
            margin = truth.widths[i] * np.array((-side, -above, side, below), np.float32)
            cut = np.rint(truth.boxes[i] + margin)
            x0, y0, x1, y1 = (int(value) for value in cut)
            alone = not intersections(cut[None], np.delete(truth.boxes, i, 0)).any()
            if alone and x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
                box = truth.boxes[i] - np.array((x0, y0, x0, y0), np.float32)
                heads.append(Head(pixels[y0:y1, x0:x1].copy(), box))
    return heads


class ClipFrame(NamedTuple):
    """One frame of a clip.

    Attributes:
        pixels: uint8 [1080, 1920, 3] in bgr order.
        truth: the P faces of which any part is inside the frame, hidden ones included. Their boxes
            are not clipped. A face is ignored if less than half of it is seen.
        persons: int [P], the number of each person, from 0. It is the same through the whole clip.
    """

    pixels: Pixels
    truth: GroundTruth
    persons: npt.NDArray[np.intp]

    @property
    def visible(self) -> npt.NDArray[np.bool_]:
        """Whether at least half of each face is seen, bool [P]."""
        return ~self.truth.ignored


def walking_clip(
    heads: Sequence[Head],
    people: int = 6,
    seconds: float = 10.0,
    rate: float = 10.0,
    seed: int = 0,
) -> Iterator[ClipFrame]:
    """Make the frames of a clip in which people walk past a resting camera.

    Each person walks at a steady pace of 2 to 3.5 face widths a second, moves a little up and
    down, and slowly comes nearer or goes away. Neighbouring lanes cross in opposite directions, so
    that nobody is covered by another for more than a moment. Every other person passes behind a
    pillar that hides the face for half a second.

    Args:
        heads: what `cut_heads` gave. The largest are used, and enlarged by a quarter at most.
        people: the number of people.
        seconds: the length of the clip.
        rate: frames per second.
        seed: fixes everything that is random.

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


class _Walk(NamedTuple):
    """How a person walks. Lengths are in pixels, times in seconds from the start of the clip."""

    head: Head
    middle: tuple[float, float]  #: the centre of the face at half-time
    velocity: tuple[float, float]
    width: float  #: of the face at half-time
    growth: float  #: how much the width changes over the clip, as a share of it
    phase: float  #: of the movement up and down
    pillar: tuple[slice, slice] | None  #: the rows and columns that hide the person

    def face_at(self, time: float, half_time: float) -> tuple[float, float, float]:
        """Give the centre x, y and the width of the face."""
        since = time - half_time
        width = self.width * (1 + self.growth * since / (2 * half_time))
        bob = 0.05 * width * np.sin(2 * np.pi * STEPS_PER_SECOND * time + self.phase)
        x, y = (m + v * since for m, v in zip(self.middle, self.velocity))
        return x, y + bob, width


def _frames(
    heads: Sequence[Head], people: int, seconds: float, rate: float, rng: np.random.Generator
) -> Iterator[ClipFrame]:
    background = make_background(rng)
    # The camera's noise. To show parts of one field is much faster than to draw it anew.
    noise = rng.normal(0, 2, (HEIGHT + 64, WIDTH + 64, 3)).astype(np.int16)
    walks = _plan_walks(heads, people, seconds, rng)
    for index in range(round(seconds * rate)):
        places = [walk.face_at(index / rate, seconds / 2) for walk in walks]
        pixels, boxes, seen = _draw_people(background, walks, places)
        x, y = rng.integers(0, 64, 2)
        shown = np.clip(pixels + noise[y : y + HEIGHT, x : x + WIDTH], 0, 255).astype(np.uint8)
        inside = (boxes[:, :2] < (WIDTH, HEIGHT)).all(1) & (boxes[:, 2:] > 0).all(1)
        truth = GroundTruth.from_lists(boxes[inside], ignored=seen[inside] < 0.5)
        yield ClipFrame(shown, truth, np.flatnonzero(inside))


def _plan_walks(
    heads: Sequence[Head], people: int, seconds: float, rng: np.random.Generator
) -> list[_Walk]:
    walks = []
    widest, narrowest = WIDEST / (1 + MOST_GROWTH / 2), NARROWEST / (1 - MOST_GROWTH / 2)
    widths = np.geomspace(widest, narrowest, people)
    lane_height = HEIGHT / (people + 1)
    largest = sorted(heads, key=lambda head: float(head.box[0] - head.box[2]))
    for i, rank in enumerate(rng.permutation(people)):
        head = largest[rank % len(heads)]
        source = float(head.box[2] - head.box[0])
        sharp = MOST_ENLARGED * source / (1 + MOST_GROWTH / 2)
        width = max(widths[-1], min(widths[rank], sharp))
        direction = 1 if i % 2 else -1
        speed = width * rng.uniform(2, 3.5)
        # Persons 0 and 1, 2 and 3, … exchange lanes. They come from opposite sides, and so meet.
        middle = rng.uniform(0.3, 0.7) * WIDTH, (i - i % 2 + 1.5) * lane_height
        velocity = direction * speed, direction * lane_height / seconds
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
        growth = rng.uniform(0.5, 1) * MOST_GROWTH * rng.choice((-1, 1))
        phase = rng.uniform(0, 2 * np.pi)
        walks.append(_Walk(head, middle, velocity, width, growth, phase, pillar))
    return walks


def _draw_people(
    background: Pixels,
    walks: Sequence[_Walk],
    places: Sequence[tuple[float, float, float]],
) -> tuple[Pixels, Array, npt.NDArray[np.float64]]:
    """Draw all people and pillars.

    Args:
        background: uint8 [1080, 1920, 3].
        walks: one for each of the P people.
        places: the centre x, y and the width of each face.

    Returns:
        The picture, uint8 [1080, 1920, 3]; the boxes of the faces as drawn, float32 [P, 4]; and
        the share of each face that is seen, float64 [P].
    """
    pixels = background.copy()
    owners = np.full((HEIGHT, WIDTH), -1, np.int16)  # whose face is seen at each pixel
    boxes = np.empty((len(walks), 4), np.float32)
    whole = np.empty(len(walks))
    # Nobody passes behind the pillar of another, since that would take longer, or less long. So
    # those with a pillar are drawn first. Nearer people are drawn over those who are further away.
    for person in sorted(range(len(walks)), key=lambda i: (not walks[i].pillar, places[i][2])):
        walk = walks[person]
        boxes[person], whole[person] = _draw_head(pixels, owners, person, walk.head, places[person])
        if walk.pillar is not None:
            pixels[walk.pillar] = PILLAR_COLOR
            owners[walk.pillar] = -1
    seen = np.array([np.count_nonzero(owners == person) for person in range(len(walks))])
    return pixels, boxes, seen / whole


def _draw_head(
    pixels: Pixels,
    owners: npt.NDArray[np.int16],
    person: int,
    head: Head,
    place: tuple[float, float, float],
) -> tuple[Array, int]:
    """Paste a head with soft edges.

    Args:
        pixels: the picture, altered in place.
        owners: whose face is seen at each pixel, altered in place.
        person: the number of the person.
        head: what is pasted.
        place: the centre x, y and the width of the face.

    Returns:
        The face's box as drawn, float32 [4], and the number of pixels that the face would have if
        all of it were seen.
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

    # The weight is 1 in the middle, and falls to 0 at the ellipse that touches the cut's sides.
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
