"""Differences between two backends that run a network on the same inputs.

Raw outputs are compared in two ways. At anchors that may be faces (with a score of at least 0.1)
the values are small, and each digit moves a box by some part of a pixel: there the absolute
difference counts. At other anchors the values reach thousands although their scores are 0, and the
rounding of float32 alone makes two programs differ by more than 1e-4: over all anchors, the
difference counts as a share of the output's largest absolute value.

Faces are compared by the difference of their scores, and by the distance of their points as a share
of the face's width.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.faces import Faces
from blazeface_ros.core.frame import Frame
from blazeface_ros.core.sampling import sample
from blazeface_ros.core.tiles import letterbox
from blazeface_ros.models.catalogue import Model

Array = npt.NDArray[np.float32]
Runner = Callable[[Array], tuple[Array, Array]]

#: The largest difference allowed between float32 outputs.
TOLERANCE = 1e-4
#: The largest difference allowed where a device computes in float16. ATC and CANN do so by default
#: and do not report it, and so this is the tolerance for every NPU.
FLOAT16_TOLERANCE = 2e-2
#: The largest difference allowed between raw float16 values at faces. Coordinates are pixels of the
#: input, and the eleven bits of a float16 leave steps of 1/16 pixel from 64 pixels on. The shipped
#: networks reach 0.08 in float16.
FLOAT16_AT_FACES = 0.2
RANDOM_INPUTS = 4
#: The logit of a score of 0.1.
MAYBE_A_FACE = float(np.log(0.1 / 0.9))
LATENCY_RUNS = 20


@dataclass(frozen=True)
class Difference:
    """The difference between two runs of one output over some inputs.

    Attributes:
        what: the two runs, as text for people.
        inputs: 'random' or 'pictures'.
        output: 'coordinates' or 'logits'.
        largest, mean: the largest and the mean absolute difference over all anchors.
        at_faces: the largest absolute difference over anchors that may be faces; None if there are
            no such anchors.
        share: the largest difference as a share of the output's largest absolute value.
    """

    what: str
    inputs: str
    output: str
    largest: float
    mean: float
    at_faces: float | None
    share: float

    def within(self, tolerance: float, at_faces: float | None = None) -> bool:
        """Whether both runs count as equal. NaN never does.

        Args:
            tolerance: the largest value allowed for `share` and for `at_faces`.
            at_faces: the largest value allowed for `at_faces`, if it differs from the tolerance.
        """
        limit = tolerance if at_faces is None else at_faces
        return bool((self.at_faces or 0) <= limit and self.share <= tolerance)


@dataclass(frozen=True)
class FaceDifference:
    """The difference between the faces that two detectors found in the same pictures.

    Attributes:
        counts: the number of faces that each detector found.
        pixels: the largest distance along x or y of a box corner or keypoint, in pixels.
        share: the largest such distance as a share of the width of its face.
        score: the largest difference of scores. For a face that only one detector found, it is the
            difference between its score and the threshold, as the other score is below that.
    """

    counts: tuple[int, int]
    pixels: float
    share: float
    score: float

    def within(self, tolerance: float) -> bool:
        """Whether both detectors count as equal."""
        return self.share <= tolerance and self.score <= tolerance


def compare_faces(
    found: Sequence[Faces], wanted: Sequence[Faces], score_threshold: float
) -> FaceDifference:
    """Compare the faces of two detectors, picture by picture.

    Two faces count as the same if their points are less than half a face's width apart.

    Args:
        found: the faces that the tested detector found, by picture.
        wanted: the faces that the reference found in the same pictures.
        score_threshold: the threshold of both detectors.
    """
    pixels, shares, scores = [0.0], [0.0], [0.0]
    for some, others in zip(found, wanted):
        distances = np.abs(some.points[:, None] - others.points).max((2, 3), initial=0)
        share = distances / (others.boxes[:, 2] - others.boxes[:, 0])
        same = share < 0.5
        pixels += distances[same].tolist()
        shares += share[same].tolist()
        scores += np.abs(some.scores[:, None] - others.scores)[same].tolist()
        for faces, alone in ((some, ~same.any(1)), (others, ~same.any(0))):
            scores += (faces.scores[alone] - score_threshold).tolist()
    counts = sum(map(len, found)), sum(map(len, wanted))
    return FaceDifference(counts, max(pixels), max(shares), max(scores))


def median_latency(run: Runner, batch: Array) -> float:
    """The median of the seconds that the network takes for the batch."""
    seconds = []
    for _ in range(LATENCY_RUNS):
        begin = time.perf_counter()
        run(batch)
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))


def make_inputs(model: Model, pictures: Sequence[npt.NDArray[np.uint8]]) -> dict[str, Array]:
    """Make batches of inputs for a comparison.

    Args:
        model: the network.
        pictures: uint8 [H, W, 3] in bgr order, of any sizes.

    Returns:
        'random' and 'pictures', each float32 [N, 3, S, S]. Each input of the latter is one whole
        picture.
    """
    size = model.input_size
    # Only the values that bytes have, as a model with AIPP takes no others.
    random = np.random.default_rng(0).uniform(0, 255, (RANDOM_INPUTS, 3, size, size))
    random = random.round() / 127.5 - 1
    whole = np.empty((len(pictures), 3, size, size), np.float32)
    for picture, out in zip(pictures, whole):
        frame = Frame.from_picture(picture)
        sample(frame, letterbox(frame.width, frame.height), out)
    return {'random': random.astype(np.float32), 'pictures': whole}


def compare(what: str, first: Runner, second: Runner, inputs: dict[str, Array]) -> list[Difference]:
    """Run two backends on the same inputs, one input at a time, and compare their outputs.

    Args:
        what: the two runs, as text for people.
        first: `infer` of the tested backend.
        second: `infer` of the reference.
        inputs: the batches of `make_inputs`.
    """
    differences = []
    for kind, batch in inputs.items():
        if not len(batch):
            continue
        runs = [[run(batch[i : i + 1]) for i in range(len(batch))] for run in (first, second)]
        found, wanted = ([np.concatenate(o) for o in zip(*run)] for run in runs)
        maybe = wanted[1][..., 0] > MAYBE_A_FACE
        for name, a, b in zip(('coordinates', 'logits'), found, wanted):
            difference = np.abs(a - b)
            differences.append(
                Difference(
                    what,
                    kind,
                    name,
                    float(difference.max()),
                    float(difference.mean()),
                    float(difference[maybe].max()) if maybe.any() else None,
                    float(difference.max() / np.abs(b).max()),
                )
            )
    return differences
