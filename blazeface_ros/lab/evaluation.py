"""How well a detector finds faces that people have annotated.

A detection and an annotated face are the same face if the intersection over union (IoU) of their
boxes is at least 0.4. BlazeFace's box is a square from the eyebrows to the chin, while people draw
heads or ellipses around whole faces. At the usual threshold of 0.5 some well found faces would
count as missed. The numbers at 0.5 are given as well, to be compared with those of others.

Detections are matched in the order of their scores, best first. Each takes the free face that it
overlaps most. A face is taken only once, so a second box on it is a false positive. A detection
that takes no face counts neither way if at least 0.4 of its own area lies on an ignored face (too
small, unclear, hidden), as in COCO. The rule is this lenient because nobody can place a box well
on a face that is hardly seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.boxes import areas, intersections, iou
from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.core.faces import KEYPOINT_NAMES, Faces
from blazeface_ros.core.frame import Frame
from blazeface_ros.lab.ground_truth import GroundTruth, Sample

#: The IoU from which a detection counts as a face. `Evaluation` tells most numbers at the first.
IOU_THRESHOLDS = (0.4, 0.5)
#: Average precision ranks all candidates, also those whose score is too low to be called faces.
LOWEST_SCORE = 0.01
#: Classes of faces by width in pixels: from each number up to the next.
SIZES = (0.0, 16.0, 32.0, 64.0, 128.0, float('inf'))
#: What `match` returns for a detection that shows no face, in place of the face's index.
FALSE_POSITIVE, ON_IGNORED = -1, -2


def match(faces: Faces, truth: GroundTruth, iou_threshold: float) -> npt.NDArray[np.intp]:
    """Tell which annotated face each detection shows, by the rule at the top of this module.

    Args:
        faces: M detections of a picture, best score first.
        truth: the N annotated faces of the picture.
        iou_threshold: the least IoU of a detection and its face.

    Returns:
        int [M], the index of the face, `FALSE_POSITIVE` or `ON_IGNORED`.
    """
    matched = np.full(len(faces), FALSE_POSITIVE)
    if not len(truth.boxes):
        return matched
    overlap = iou(faces.boxes, truth.boxes)
    overlap[overlap < iou_threshold] = 0
    on_ignored = intersections(faces.boxes, truth.boxes[truth.ignored])
    excused = np.any(on_ignored >= iou_threshold * areas(faces.boxes)[:, None], axis=1)
    free = ~truth.ignored
    for i, row in enumerate(overlap):
        best = int(np.argmax(row * free))
        if row[best] and free[best]:
            matched[i] = best
            free[best] = False
        elif excused[i]:
            matched[i] = ON_IGNORED
    return matched


@dataclass(frozen=True)
class Counts:
    """How many faces are present, how many were found, and how many detections are no faces."""

    present: int
    found: int
    false_positives: int

    @property
    def recall(self) -> float:
        """The share of the faces that were found. NaN if there are no faces."""
        return self.found / self.present if self.present else float('nan')

    @property
    def precision(self) -> float:
        """The share of the detections that are faces. NaN if there are no detections."""
        detections = self.found + self.false_positives
        return self.found / detections if detections else float('nan')


@dataclass(frozen=True, eq=False)
class Accuracy:
    """How well faces were found, at one IoU threshold.

    Attributes:
        iou_threshold: the threshold of the matching.
        counts: the numbers at the detector's score threshold.
        average_precision: the area under the precision-recall curve. NaN if there are no faces.
        precisions: float64 [K], the precision of the best 1, 2, … K candidates.
        recalls: float64 [K], the recall of the same candidates.
    """

    iou_threshold: float
    counts: Counts
    average_precision: float
    precisions: npt.NDArray[np.float64]
    recalls: npt.NDArray[np.float64]


@dataclass(frozen=True)
class SizeClass:
    """The counts of faces and false positives whose width in pixels is from begin up to end."""

    begin: float
    end: float
    counts: Counts


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well a detector did.

    Attributes:
        pictures: the number of pictures.
        accuracies: one for each of `IOU_THRESHOLDS`.
        sizes: one for each class of `SIZES`, at the first IoU threshold and the detector's score
            threshold.
        keypoint_errors: for each of `KEYPOINT_NAMES` the mean distance from the annotated point,
            as a share of the face's size (the square root of its box's area), over the faces that
            were found at the first IoU threshold. NaN if no such point is annotated.
    """

    pictures: int
    accuracies: tuple[Accuracy, ...]
    sizes: tuple[SizeClass, ...]
    keypoint_errors: dict[str, float]


def count(
    truths: Sequence[GroundTruth], found: Sequence[Faces], iou_threshold: float = IOU_THRESHOLDS[0]
) -> Counts:
    """Count faces, found faces and false positives over all pictures.

    Args:
        truths: the annotated faces of each picture.
        found: the detections of each picture, best score first.
        iou_threshold: the least IoU of a detection and its face.
    """
    matches = [match(faces, truth, iou_threshold) for faces, truth in zip(found, truths)]
    return Counts(
        sum(int((~truth.ignored).sum()) for truth in truths),
        sum(int((matched >= 0).sum()) for matched in matches),
        sum(int((matched == FALSE_POSITIVE).sum()) for matched in matches),
    )


def evaluate(detector: FaceDetector, samples: Iterable[Sample]) -> Evaluation:
    """Measure a detector on annotated pictures, which are read one at a time.

    The network runs once for each tile. Its candidates are merged twice: those above the
    detector's own score threshold count as found, and all of them make up average precision. One
    merging would not do, since candidates with low scores also move the merged boxes a little.

    Args:
        detector: the detector to measure.
        samples: pictures and their annotated faces.

    Raises:
        ImageError: if a picture is not such an array.
        BackendError: if the network fails.
    """
    own = detector.settings
    lowest = replace(own, score_threshold=min(LOWEST_SCORE, detector.score_threshold))
    truths = []
    found: list[Faces] = []
    ranked: list[Faces] = []
    for pixels, truth in samples:
        frame = Frame.from_picture(pixels)
        plan = detector.plan(frame.width, frame.height)
        (candidates,) = detector.find_candidates([frame], [plan.tiles], lowest.score_threshold)
        truths.append(truth)
        for faces, settings in ((found, own), (ranked, lowest)):
            merged = detector.merge(candidates, plan, settings)
            faces.append(merged.limited(settings.max_faces))
    return measure(truths, found, ranked)


def measure(
    truths: Sequence[GroundTruth], found: Sequence[Faces], ranked: Sequence[Faces]
) -> Evaluation:
    """Compare detections with annotations.

    Args:
        truths: the annotated faces of each picture.
        found: the detections of each picture at the detector's score threshold, best score first.
        ranked: the same with all detections that score less, for average precision.
    """
    present: list[float] = []
    hit: list[float] = []
    wrong: list[float] = []
    distances = [np.empty((0, len(KEYPOINT_NAMES)))]
    for truth, faces in zip(truths, found):
        matched = match(faces, truth, IOU_THRESHOLDS[0])
        known = matched[matched >= 0]
        present += truth.widths[~truth.ignored].tolist()
        hit += truth.widths[known].tolist()
        wrong += (faces.boxes[:, 2] - faces.boxes[:, 0])[matched == FALSE_POSITIVE].tolist()
        size = np.sqrt(areas(truth.boxes[known]))
        apart = np.linalg.norm(faces.keypoints[matched >= 0] - truth.keypoints[known], axis=2)
        distances.append(apart / size[:, None])
    by_size = zip(*(np.histogram(widths, SIZES)[0].tolist() for widths in (present, hit, wrong)))
    return Evaluation(
        len(truths),
        tuple(_accuracy(truths, found, ranked, threshold) for threshold in IOU_THRESHOLDS),
        tuple(
            SizeClass(begin, end, Counts(*numbers))
            for begin, end, numbers in zip(SIZES, SIZES[1:], by_size)
        ),
        {
            name: _mean(column[np.isfinite(column)])
            for name, column in zip(KEYPOINT_NAMES, np.concatenate(distances).T)
        },
    )


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float('nan')


def _accuracy(
    truths: Sequence[GroundTruth],
    found: Sequence[Faces],
    ranked: Sequence[Faces],
    iou_threshold: float,
) -> Accuracy:
    counts = count(truths, found, iou_threshold)
    matches = (match(faces, truth, iou_threshold) for faces, truth in zip(ranked, truths))
    matched = np.concatenate([np.empty(0, int), *matches])
    scores = np.concatenate([np.empty(0, np.float32), *(faces.scores for faces in ranked)])
    counted = matched != ON_IGNORED
    order = np.argsort(-scores[counted], kind='stable')
    right = np.cumsum(matched[counted][order] >= 0)
    precisions = right / np.arange(1, len(right) + 1)
    recalls = right / max(counts.present, 1)
    return Accuracy(
        iou_threshold,
        counts,
        average_precision(precisions, recalls) if counts.present else float('nan'),
        precisions,
        recalls,
    )


def average_precision(
    precisions: npt.NDArray[np.float64], recalls: npt.NDArray[np.float64]
) -> float:
    """Give the area under a precision-recall curve, as PASCAL VOC 2010 defines it.

    The precision is interpolated at all points: at each recall it is the best precision at this
    recall or a higher one.

    Args:
        precisions: float64 [K], the precision of the best 1, 2, … K candidates.
        recalls: float64 [K], the recall of the same candidates.
    """
    envelope = np.maximum.accumulate(precisions[::-1])[::-1]
    return float(np.sum(np.diff(recalls, prepend=0) * envelope))
