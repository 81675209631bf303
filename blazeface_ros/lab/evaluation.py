"""How well a detector finds faces that people have annotated.

A detection and an annotated face are the same face where their boxes overlap with an intersection
over union (IoU) of 0.4. BlazeFace's box is a square from the eyebrows to the chin, while people
draw heads or ellipses around whole faces: at the usual 0.5 some well found faces would count as
missed. Numbers at 0.5 are there, too, to be compared with those of others.

Every detection, best score first, takes the free face that it overlaps most; a face is taken once,
so that a second box on it is a false positive. Of what is left, a detection that lies with as much
of its own area on an ignored face (too small, unclear, hidden) counts neither way, as in COCO:
what is hardly seen is hardly placed well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.boxes import areas, intersections, overlaps
from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.core.faces import KEYPOINT_NAMES, Faces
from blazeface_ros.errors import ConfigurationError
from blazeface_ros.recordings.media import PICTURE_SUFFIXES, Pixels

Array = npt.NDArray[np.float32]

#: The first is what counts as found, see above.
IOU_THRESHOLDS = (0.4, 0.5)
#: Average precision ranks all candidates, also those that score too low to be called faces.
LOWEST_SCORE = 0.01
#: Classes of faces by width in pixels: from each number up to the next.
SIZES = (0.0, 16.0, 32.0, 64.0, 128.0, float('inf'))
#: Per face in ground_truth.json: eye on the picture's left, eye on its right, nose, mouth. On an
#: upright face they are the network's first four keypoints.
ANNOTATED_POINTS = 4
#: Of each face in WIDER FACE's text format.
WIDER_COLUMNS = (
    *('x', 'y', 'w', 'h'),
    *('blur', 'expression', 'illumination', 'invalid', 'occlusion', 'pose'),
)


@dataclass(frozen=True)
class GroundTruth:
    """The annotated faces of one picture, as parallel arrays.

    Attributes:
        boxes: float32 [N, 4], x0, y0, x1, y1 in pixels of the picture.
        keypoints: float32 [N, 6, 2], x, y in pixels, in `KEYPOINT_NAMES` order; NaN where none is
            annotated.
        ignored: bool [N]; such a face need not be found, and if it is, that is not wrong.
    """

    boxes: Array
    keypoints: Array
    ignored: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        boxes: npt.ArrayLike,
        points: Sequence[npt.ArrayLike | None] | None = None,
        ignored: npt.ArrayLike | None = None,
    ) -> GroundTruth:
        """From lists.

        Args:
            boxes: N times x0, y0, x1, y1.
            points: N times the first so many keypoints x, y, or None; None: no points at all.
            ignored: N times; None: no face is.
        """
        corners = np.array(boxes, np.float32).reshape(-1, 4)
        count = len(corners)
        keypoints = np.full((count, len(KEYPOINT_NAMES), 2), np.nan, np.float32)
        for face, known in zip(keypoints, points or ()):
            if known is not None:
                positions = np.array(known, np.float32)
                face[: len(positions)] = positions
        flags = np.zeros(count, bool) if ignored is None else np.array(ignored, bool)
        return cls(corners, keypoints, flags)

    @property
    def widths(self) -> Array:
        """float32 [N], in pixels."""
        return self.boxes[:, 2] - self.boxes[:, 0]


#: A picture, uint8 [H, W, 3] in bgr order, and its faces.
Sample = tuple[Pixels, GroundTruth]


class AnnotatedPicture(NamedTuple):
    """A picture file and the faces in it."""

    file: Path
    truth: GroundTruth


def read_ground_truth(file: str | Path, images: str | Path | None = None) -> list[AnnotatedPicture]:
    """Read annotations: JSON, or the text format of the WIDER FACE data set.

    JSON is a list of `{"image": path, "faces": [{"box": [x0, y0, x1, y1], "points": [[x, y], …]}]}`
    with points as in `ANNOTATED_POINTS`, or none. In WIDER FACE's, faces marked invalid are
    ignored, and boxes without area left out.

    Args:
        file: the annotations.
        images: the folder to which the pictures' paths are relative; None: it is looked for beside
            the file, and in WIDER FACE's own folders.

    Raises:
        ConfigurationError: if the file is missing or malformed, naming the place, or the pictures
            are not found.
    """
    path = Path(file)
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"ground truth '{path}' cannot be read: {error}") from error
    parse = _parse_json if text.lstrip().startswith(('[', '{')) else _parse_wider
    named = parse(text, path)
    if not named:
        raise ConfigurationError(f"ground truth '{path}' names no picture")
    folder = _find_folder(path, images, named[0][0])
    return [AnnotatedPicture(folder / name, truth) for name, truth in named]


def _find_folder(path: Path, images: str | Path | None, first: str) -> Path:
    """The folder in which the first picture is."""
    if images is not None:
        folders = [Path(images)]
    else:
        # WIDER FACE: wider_face_split/wider_face_val_bbx_gt.txt, WIDER_val/images/0--Parade/….
        base = path.parent.absolute()
        folders = [base, base / 'images']
        for part in ('train', 'val'):
            if f'_{part}_' in path.name:
                folders += [top / f'WIDER_{part}' / 'images' for top in (base, base.parent)]
    for folder in folders:
        if (folder / first).is_file():
            return folder
    tried = ', '.join(f"'{folder}'" for folder in folders)
    raise ConfigurationError(
        f"picture '{first}' of '{path}' is not in {tried}; --images says where the pictures are"
    )


def _parse_json(text: str, path: Path) -> list[tuple[str, GroundTruth]]:
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"ground truth '{path}' is no JSON: {error}") from error
    if not isinstance(entries, list):
        raise ConfigurationError(f"ground truth '{path}' must be a list of pictures")
    named = []
    for number, entry in enumerate(entries, 1):
        place = f"ground truth '{path}', picture {number}"
        if not (
            isinstance(entry, dict)
            and isinstance(entry.get('image'), str)
            and isinstance(entry.get('faces'), list)
        ):
            raise ConfigurationError(f'{place} needs "image", a path, and "faces", a list')
        boxes, points = [], []
        for index, face in enumerate(entry['faces'], 1):
            where = f"{place} ('{entry['image']}'), face {index}"
            face = face if isinstance(face, dict) else {'box': face}
            box = _numbers(face.get('box'), (4,))
            if box is None or (box[2:] <= box[:2]).any():
                raise ConfigurationError(
                    f'{where}: the box must be [x0, y0, x1, y1] with x0 < x1 and y0 < y1, '
                    f'got {face.get("box")}'
                )
            known = _numbers(face.get('points'), (ANNOTATED_POINTS, 2))
            if known is None and face.get('points'):
                raise ConfigurationError(
                    f'{where}: the points must be {ANNOTATED_POINTS} times [x, y], '
                    f'got {face["points"]}'
                )
            boxes.append(box)
            points.append(known)
        named.append((entry['image'], GroundTruth.of(boxes, points)))
    return named


def _numbers(value: Any, shape: tuple[int, ...]) -> Array | None:
    """As an array; None if it is not one of finite numbers of that shape."""
    try:
        numbers = np.array(value, np.float32)
    except (TypeError, ValueError):
        return None
    return numbers if numbers.shape == shape and np.isfinite(numbers).all() else None


def _parse_wider(text: str, path: Path) -> list[tuple[str, GroundTruth]]:
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()

    def error(number: int, expected: str) -> ConfigurationError:
        got = f"'{lines[number]}'" if number < len(lines) else 'the end of the file'
        return ConfigurationError(
            f"ground truth '{path}', line {number + 1}: expected {expected}, got {got}"
        )

    named = []
    number = 0
    while number < len(lines):
        name = lines[number]
        if Path(name).suffix.lower() not in PICTURE_SUFFIXES:
            raise error(number, "a picture's path (or there are more faces than their count says)")
        number += 1
        if number == len(lines) or not lines[number].isdecimal():
            raise error(number, f"the number of faces of '{name}'")
        count = int(lines[number])
        number += 1
        rows = []
        # A picture without faces has a row of zeros all the same.
        for _ in range(max(count, 1)):
            values = lines[number].split() if number < len(lines) else []
            row = _numbers(values, (len(WIDER_COLUMNS),))
            if row is None:
                if not count:  # files written by others leave it out
                    break
                raise error(number, f'{len(WIDER_COLUMNS)} numbers {" ".join(WIDER_COLUMNS)}')
            rows.append(row)
            number += 1
        table = np.array(rows, np.float32).reshape(-1, len(WIDER_COLUMNS))
        table = table[(table[:, 2:4] > 0).all(1)]
        corners = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], 1)
        invalid = table[:, WIDER_COLUMNS.index('invalid')] != 0
        named.append((name, GroundTruth.of(corners, ignored=invalid)))
    return named


#: In place of a face's index in what `match` returns.
FALSE_POSITIVE, ON_IGNORED = -1, -2


def match(faces: Faces, truth: GroundTruth, iou_threshold: float) -> npt.NDArray[np.intp]:
    """Say which annotated face each detection of a picture shows; the rule stands above.

    Args:
        faces: M detections, best score first.
        truth: N faces.
        iou_threshold: what a detection and its face overlap by at least.

    Returns:
        int [M], the index of the face, `FALSE_POSITIVE` or `ON_IGNORED`.
    """
    matched = np.full(len(faces), FALSE_POSITIVE)
    if not len(truth.boxes):
        return matched
    overlap = overlaps(faces.boxes, truth.boxes)
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
    """What was found of what is there."""

    present: int
    found: int
    false_positives: int

    @property
    def recall(self) -> float:
        """The share of the faces that were found; NaN if there are none."""
        return self.found / self.present if self.present else float('nan')

    @property
    def precision(self) -> float:
        """The share of the detections that are faces; NaN if there are none."""
        detections = self.found + self.false_positives
        return self.found / detections if detections else float('nan')


@dataclass(frozen=True)
class Accuracy:
    """At one IoU threshold.

    Attributes:
        iou_threshold: that of the matching.
        counts: at the detector's score threshold.
        average_precision: the area under the curve's envelope; NaN if there are no faces.
        precisions: float [K], of the best 1, 2, … K candidates.
        recalls: float [K], of the same.
    """

    iou_threshold: float
    counts: Counts
    average_precision: float
    precisions: npt.NDArray[np.float64]
    recalls: npt.NDArray[np.float64]


@dataclass(frozen=True)
class SizeClass:
    """Faces and false positives of one range of widths, in pixels, the end excluded."""

    begin: float
    end: float
    counts: Counts


@dataclass(frozen=True)
class Evaluation:
    """How well a detector did.

    Attributes:
        pictures: how many there were.
        accuracies: one for each of `IOU_THRESHOLDS`.
        sizes: one for each class of `SIZES`, at the first IoU and the score threshold.
        keypoint_errors: of each of `KEYPOINT_NAMES`, the mean distance from the annotated point
            as a share of the face's size (the square root of its box's area), over the faces found
            at the first IoU; NaN where no point is annotated.
    """

    pictures: int
    accuracies: tuple[Accuracy, ...]
    sizes: tuple[SizeClass, ...]
    keypoint_errors: dict[str, float]


def count(
    truths: Sequence[GroundTruth], found: Sequence[Faces], iou_threshold: float = IOU_THRESHOLDS[0]
) -> Counts:
    """Count over all pictures what was found, what is there, and what is no face."""
    matches = [match(faces, truth, iou_threshold) for faces, truth in zip(found, truths)]
    return Counts(
        sum(int((~truth.ignored).sum()) for truth in truths),
        sum(int((matched >= 0).sum()) for matched in matches),
        sum(int((matched == FALSE_POSITIVE).sum()) for matched in matches),
    )


def measure(
    truths: Sequence[GroundTruth], found: Sequence[Faces], ranked: Sequence[Faces]
) -> Evaluation:
    """Compare detections with annotations.

    Args:
        truths: the faces of each picture.
        found: the detections of each picture at the score threshold in question.
        ranked: the same with all that score less, for average precision.
    """
    accuracies = tuple(_accuracy(truths, found, ranked, iou) for iou in IOU_THRESHOLDS)
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
    counts = zip(*(np.histogram(widths, SIZES)[0].tolist() for widths in (present, hit, wrong)))
    return Evaluation(
        len(truths),
        accuracies,
        tuple(
            SizeClass(begin, end, Counts(*numbers))
            for begin, end, numbers in zip(SIZES, SIZES[1:], counts)
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
    """The area under a precision-recall curve, with all points interpolated as in PASCAL VOC 2010.

    The precision at a recall is the best that any cut with at least this recall has.

    Args:
        precisions: float [K], of the best 1, 2, … K candidates.
        recalls: float [K], of the same.
    """
    envelope = np.maximum.accumulate(precisions[::-1])[::-1]
    return float(np.sum(np.diff(recalls, prepend=0) * envelope))


def evaluate(detector: FaceDetector, samples: Iterable[Sample]) -> Evaluation:
    """Measure a detector on annotated pictures, which are read one at a time.

    Each picture is searched twice. What counts as found is what the detector gives at its own
    score threshold; average precision needs the candidates below it, which also move the merged
    boxes a little.
    """
    truths, found, ranked = [], [], []
    score_threshold, iou_threshold = detector.score_threshold, detector.iou_threshold
    try:
        for pixels, truth in samples:
            truths.append(truth)
            detector.set_thresholds(score_threshold, iou_threshold)
            found.append(detector.detect(pixels))
            detector.set_thresholds(min(LOWEST_SCORE, score_threshold), iou_threshold)
            ranked.append(detector.detect(pixels))
    finally:
        detector.set_thresholds(score_threshold, iou_threshold)
    return measure(truths, found, ranked)
