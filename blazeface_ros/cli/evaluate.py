"""`blazeface evaluate`: measures how well annotated faces are found."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from blazeface_ros.cli.detect import add_detector_options, make_detector
from blazeface_ros.cli.tables import (
    add_picture_limit,
    check_outputs,
    print_table,
    progress_bar,
    save_plot,
    write_json,
)
from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.errors import ImageError
from blazeface_ros.lab.evaluation import Counts, Evaluation, count, evaluate
from blazeface_ros.lab.ground_truth import AnnotatedPicture, Sample, read_ground_truth
from blazeface_ros.lab.scenes import FAR_WIDTHS, far_scenes
from blazeface_ros.recordings.media import read_picture

#: The label of a line in a plot, and the x and y of its points.
Curve = tuple[str, npt.ArrayLike, npt.ArrayLike]


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        'evaluate',
        help='measure how well faces are found',
        description='Compare detections with annotated faces: precision, recall, average '
        "precision, the keypoints' errors, and recall by size. A face counts as found if a "
        'detection has an intersection over union of at least 0.4 with its box. Exit code 1 means '
        'that a picture could not be read.',
    )
    parser.add_argument(
        '--ground-truth',
        type=Path,
        required=True,
        metavar='FILE',
        help='annotations: JSON, a list of {"image", "faces": [{"box", "points"}]}, or '
        'wider_face_*_bbx_gt.txt',
    )
    parser.add_argument(
        '--images',
        type=Path,
        metavar='FOLDER',
        help='folder with the pictures (default: the folder of the annotations, or one near it)',
    )
    add_detector_options(parser)
    add_picture_limit(parser)
    parser.add_argument(
        '--far',
        action='store_true',
        help='measure recall by width instead: the faces are pasted into scenes of 1920 x 1080, '
        f'{", ".join(map(str, FAR_WIDTHS))} pixels wide',
    )
    parser.add_argument(
        '--json', type=Path, metavar='FILE', help='write the numbers into this file'
    )
    parser.add_argument(
        '--plot', type=Path, metavar='FILE.png', help='draw the curves into this file'
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure and print.

    Returns:
        The exit code: 1 if a picture could not be read, else 0.
    """
    check_outputs(options.json, options.plot)
    detector = make_detector(options)
    annotated = read_ground_truth(options.ground_truth, options.images)
    pictures = _Pictures(annotated, options.max_image_pixels)
    print(
        f'{detector.model.name}, {detector.backend.description}, '
        f'score threshold {detector.score_threshold:g}'
    )
    if options.far:
        far = measure_far(detector, pictures)
        print_far(far)
        numbers: dict[str, Any] = {'far': [{'width': w, **_as_dict(c)} for w, c in far.items()]}
        axes = 'width of the face [pixels]', 'recall'
        curves: list[Curve] = [('', list(far), [counts.recall for counts in far.values()])]
    else:
        with pictures.progress(1):
            evaluation = evaluate(detector, pictures.samples())
        print_evaluation(evaluation)
        numbers = _evaluation_as_dict(evaluation)
        axes = 'recall', 'precision'
        curves = [
            (f'IoU {a.iou_threshold}: AP {a.average_precision:.3f}', a.recalls, a.precisions)
            for a in evaluation.accuracies
        ]
    if options.json:
        used = {'model': detector.model.name, 'score_threshold': detector.score_threshold}
        write_json(options.json, {**used, **numbers})
    if options.plot:
        _plot(options.plot, curves, *axes)
    return int(bool(pictures.unreadable))


class _Pictures:
    """Reads pictures one at a time, with a progress bar.

    Attributes:
        unreadable: the files that could not be read. Each is reported once, on stderr.
    """

    def __init__(self, pictures: Sequence[AnnotatedPicture], max_pixels: int) -> None:
        self._pictures = pictures
        self._max_pixels = max_pixels
        self._advance: Callable[[], object] = lambda: None
        self.unreadable: set[Path] = set()

    @contextlib.contextmanager
    def progress(self, rounds: int) -> Iterator[None]:
        """Show a progress bar while all pictures are read this many times."""
        with progress_bar(rounds * len(self._pictures)) as self._advance:
            yield

    def samples(self) -> Iterator[Sample]:
        """Read all pictures once. Those that cannot be read are left out."""
        for picture in self._pictures:
            try:
                yield read_picture(picture.file, self._max_pixels), picture.truth
            except ImageError as error:
                if picture.file not in self.unreadable:
                    print(f'blazeface evaluate: {error}', file=sys.stderr)
                self.unreadable.add(picture.file)
            self._advance()


def measure_far(detector: FaceDetector, pictures: _Pictures) -> dict[int, Counts]:
    """Count the faces that are present and found, for each of `FAR_WIDTHS`."""
    far = {}
    with pictures.progress(len(FAR_WIDTHS)):
        for width in FAR_WIDTHS:
            truths, found = [], []
            for scene, truth in far_scenes(pictures.samples(), width):
                truths.append(truth)
                found.append(detector.detect(scene))
            far[width] = count(truths, found)
    return far


def print_far(far: dict[int, Counts]) -> None:
    """Print a table with a line for each width."""
    rows = [('width', 'found / present', 'recall', 'false positives')]
    for width, counts in far.items():
        share = f'{counts.found} / {counts.present}'
        rows.append((f'{width}', share, _share(counts.recall), f'{counts.false_positives}'))
    print_table(rows)


def print_evaluation(evaluation: Evaluation) -> None:
    """Print three tables for people."""
    rows: list[Sequence[str]] = [
        ('IoU', 'found / present', 'recall', 'false positives', 'precision', 'average precision')
    ]
    for accuracy in evaluation.accuracies:
        counts = accuracy.counts
        rows.append(
            (
                f'{accuracy.iou_threshold}',
                f'{counts.found} / {counts.present}',
                _share(counts.recall),
                f'{counts.false_positives}',
                _share(counts.precision),
                _share(accuracy.average_precision),
            )
        )
    print(f'{evaluation.pictures} picture{"" if evaluation.pictures == 1 else "s"}')
    print_table(rows)
    rows = [('width', 'found / present', 'recall', 'false positives')]
    for size in evaluation.sizes:
        counts = size.counts
        if counts.present or counts.false_positives:
            end = '' if math.isinf(size.end) else f'{size.end:g}'
            share = f'{counts.found} / {counts.present}'
            numbers = _share(counts.recall), f'{counts.false_positives}'
            rows.append((f'{size.begin:g} - {end}', share, *numbers))
    print()
    print_table(rows)
    known = {k: v for k, v in evaluation.keypoint_errors.items() if not math.isnan(v)}
    if known:
        print()
        errors = ((name, _share(error)) for name, error in known.items())
        print_table([('keypoint', 'mean error / size of the face'), *errors])


def _share(value: float) -> str:
    return '-' if math.isnan(value) else f'{value:.3f}'


def _evaluation_as_dict(evaluation: Evaluation) -> dict[str, Any]:
    return {
        'pictures': evaluation.pictures,
        'accuracies': [
            {
                'iou': accuracy.iou_threshold,
                **_as_dict(accuracy.counts),
                'precision': _or_none(accuracy.counts.precision),
                'average_precision': _or_none(accuracy.average_precision),
            }
            for accuracy in evaluation.accuracies
        ],
        'sizes': [
            {'from': size.begin, 'to': _or_none(size.end), **_as_dict(size.counts)}
            for size in evaluation.sizes
        ],
        'keypoint_errors': {k: _or_none(v) for k, v in evaluation.keypoint_errors.items()},
    }


def _as_dict(counts: Counts) -> dict[str, Any]:
    return {
        'present': counts.present,
        'found': counts.found,
        'recall': _or_none(counts.recall),
        'false_positives': counts.false_positives,
    }


def _or_none(value: float) -> float | None:
    """Replace NaN and infinity, which JSON does not have."""
    return round(value, 5) if math.isfinite(value) else None


def _plot(file: Path, curves: Sequence[Curve], x_label: str, y_label: str) -> None:
    from matplotlib.figure import Figure  # pyplot would look for a screen

    figure = Figure(figsize=(6, 4), layout='constrained')
    axes = figure.subplots()
    for label, x, y in curves:
        axes.plot(x, y, label=label)  # type: ignore[arg-type]
    axes.set(xlabel=x_label, ylabel=y_label, ylim=(0, 1.05))
    axes.grid(alpha=0.3)
    if len(curves) > 1:
        axes.legend()
    save_plot(figure, file)
