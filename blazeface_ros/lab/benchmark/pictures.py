"""How long it takes from pictures to faces, stage by stage, and what makes it longer."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.lab.benchmark.contenders import Contender, Ours, Picture, Round

Row = dict[str, Any]
#: The stages of `FaceDetector.detect_batch_timed`, in their order.
STAGES = ('sample', 'network', 'merge')
#: Calls before the measurement, in which caches, thread pools and libraries warm up.
WARM_UP_ROUNDS = 5


def measure(
    contenders: Sequence[Contender], rounds: int, progress: Callable[[], object] = lambda: None
) -> list[Row]:
    """Time all contenders in turn, round by round, so that a busy moment slows all of them.

    Args:
        contenders: what `contenders.gather` gave.
        rounds: how often each contender has its turn.
        progress: is called after each round.

    Returns:
        A row for each contender: `name`, `ours`, `faces`; `median` and `p95` of the time, and
        `cpu`, the median CPU time, in ms; the median of each stage in ms, None if the contender
        does not tell; and `times as fast`, its speed as a multiple of the fastest peer's, by
        medians. That is None if there is no peer.
    """
    for contender in contenders:
        for _ in range(WARM_UP_ROUNDS):
            contender.run()
    results: list[list[Round]] = [[] for _ in contenders]
    for _ in range(rounds):
        for contender, result in zip(contenders, results):
            result.append(contender.run())
        progress()
    rows = [_row(contender, result) for contender, result in zip(contenders, results)]
    peers = [row['median'] for row, contender in zip(rows, contenders) if not contender.ours]
    for row in rows:
        row['times as fast'] = min(peers) / row['median'] if peers else None
    return rows


def _row(contender: Contender, rounds: Sequence[Round]) -> Row:
    milliseconds = np.array([one.seconds for one in rounds]) * 1e3
    row: Row = {
        'name': contender.name,
        'ours': contender.ours,
        'faces': rounds[-1].faces,
        'median': float(np.median(milliseconds)),
        'p95': float(np.percentile(milliseconds, 95)),
        'cpu': float(np.median([one.cpu for one in rounds]) * 1e3),
    }
    for stage in STAGES:
        seconds = [one.stages[stage] for one in rounds if stage in one.stages]
        row[stage] = float(np.median(seconds) * 1e3) if seconds else None
    return row


def scaled_to(picture: Picture, width: int, height: int) -> Picture:
    """Make the picture as large as fits, and fill up the size with the colours of its borders.

    Args:
        picture: uint8 [H, W, 3].
        width: of the result in pixels.
        height: of the result in pixels.

    Returns:
        uint8 [height, width, 3].
    """
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(picture, size, interpolation=interpolation)
    return cv2.copyMakeBorder(  # type: ignore[return-value]
        resized, 0, height - size[1], 0, width - size[0], cv2.BORDER_REPLICATE
    )


def crowd(portrait: Picture, box: npt.NDArray[np.float32], faces: int) -> Picture:
    """Make a square picture of many heads. It is about 1000 pixels wide.

    Args:
        portrait: uint8 [H, W, 3] bgr with a face.
        box: float32 [4], the box of the face, x0, y0, x1, y1 in pixels.
        faces: the number of heads, a square number.
    """
    side = round(faces**0.5)
    reach = 0.65 * (box[2] - box[0])
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2 - 0.1 * reach
    top, left = max(round(y - reach), 0), max(round(x - reach), 0)
    head = portrait[top : round(y + reach), left : round(x + reach)]
    cell = cv2.resize(head, (1000 // side, 1000 // side), interpolation=cv2.INTER_AREA)
    return np.tile(cell, (side, side, 1))


def growth_with_faces(portrait: Picture, threads: int, rounds: int) -> list[Row]:
    """Measure what more faces in a picture cost. The network's time does not depend on them."""
    with contextlib.closing(FaceDetector(threads=threads)) as detector:
        box = detector.detect(portrait).boxes[0]
    rows = []
    for faces in (1, 4, 9, 25, 49, 100):
        # Not every head of the smallest reaches the model's own threshold. At 0.5 each does.
        row = _alone([crowd(portrait, box, faces)], threads, rounds, score_threshold=0.5)
        rows.append({'faces asked': faces, **row})
    return rows


def growth_with_size(scene: Picture, threads: int, rounds: int) -> list[Row]:
    """Measure what larger pictures cost.

    The same number of pixels is sampled from each, but they lie further apart in memory.
    """
    rows = []
    for width, height in ((640, 480), (1280, 720), (1920, 1080), (3840, 2160)):
        row = _alone([scaled_to(scene, width, height)], threads, rounds)
        rows.append({'size': f'{width} x {height}', **row})
    return rows


def growth_with_batch(scene: Picture, threads: int, rounds: int) -> list[Row]:
    """Measure what several pictures in one call cost."""
    rows = []
    for batch in (1, 2, 4, 8, 16):
        # Larger batches take longer, and so get fewer rounds.
        row = _alone([scene] * batch, threads, max(rounds // batch, min(rounds, 10)))
        rows.append({'batch': batch, **row})
    return rows


def _alone(pictures: list[Picture], threads: int, rounds: int, score_threshold: float = 0.0) -> Row:
    """Measure `back` on ONNX Runtime, without any contender beside it."""
    with contextlib.closing(Ours('back', 'onnxruntime', threads, pictures)) as ours:
        detector = ours.detector
        detector.settings = replace(detector.settings, score_threshold=score_threshold)
        (row,) = measure([ours], rounds)
    return row


_PEAK = """
import time
import numpy
matrix = numpy.ones((512, 512), numpy.float32)
best = 1e9
for _ in range(200):
    begin = time.perf_counter()
    matrix @ matrix
    best = min(best, time.perf_counter() - begin)
print(2 * 512**3 / best)
"""


def machine_peak() -> float:
    """Measure how many float32 operations per second (FLOP/s) one core reaches.

    It is the best of 200 matrix products of NumPy on one thread. Networks do not exceed it. A
    multiplication and an addition are two operations.
    """
    one_thread = {f'{library}_NUM_THREADS': '1' for library in ('OPENBLAS', 'MKL', 'OMP')}
    done = subprocess.run(
        [sys.executable, '-c', _PEAK],
        env={**os.environ, **one_thread},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def plot(rows: Sequence[Row]) -> Any:
    """Draw the medians as bars, divided into stages where these are known.

    Args:
        rows: what `measure` gave.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    from matplotlib.figure import Figure  # pyplot would look for a screen

    figure = Figure(figsize=(8, 0.6 * len(rows) + 1.2), layout='constrained')
    axes = figure.subplots()
    for i, row in enumerate(rows):
        left = 0.0
        for stage, colour in zip(STAGES, ('tab:blue', 'tab:orange', 'tab:green')):
            if row[stage] is not None:
                axes.barh(i, row[stage], left=left, color=colour, label=stage if not i else None)
                left += row[stage]
        # The medians of the stages need not add up to the median of the whole.
        axes.barh(i, max(row['median'] - left, 0), left=left, color='tab:gray')
        axes.text(row['median'], i, f' {row["median"]:.2f}', va='center')
    axes.set_yticks(range(len(rows)), [row['name'] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel('ms from picture to faces (median)')
    axes.legend()
    return figure
