"""From the network's raw outputs to candidates: anchors and decoding.

Follows MediaPipe's SsdAnchorsCalculator and TensorsToDetectionsCalculator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.faces import KEYPOINT_NAMES

Array = npt.NDArray[np.float32]


def make_anchors(grids: Sequence[tuple[int, int]]) -> Array:
    """The centres from which the network predicts.

    BlazeFace uses MediaPipe's `fixed_anchor_size`: each anchor has size 1 x 1, so only its centre
    matters.

    Args:
        grids: (cells along a side, anchors per cell) of each output layer, in output order.

    Returns:
        float32 [A, 2], x, y in units of the tile (0 to 1), row by row, then anchor by anchor.
    """
    layers = []
    for cells, anchors_per_cell in grids:
        centres = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        x, y = np.meshgrid(centres, centres)
        layers.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), anchors_per_cell, axis=0))
    return np.concatenate(layers)


def to_logit(score: float) -> np.float32:
    """The logit whose sigmoid is a score: what raw outputs are compared with.

    The sigmoid is monotonic: a comparison in logits needs no exponential for each anchor. The
    result is float32, as NumPy 1 and 2 compare float32 arrays with other numbers differently.
    """
    inside = min(max(score, 1e-9), 1 - 1e-9)
    return np.float32(math.log(inside / (1 - inside)))


def to_score(logits: Array) -> Array:
    """Scores from 0 to 1, the sigmoid of logits: float32 of the same shape."""
    scores: Array = np.float32(1) / (np.float32(1) + np.exp(-logits))
    return scores


def decode(
    coordinates: Array, logits: Array, anchors: Array, input_size: int, score_threshold: float
) -> tuple[npt.NDArray[np.intp], Array, Array]:
    """Read the candidates above the threshold out of the raw outputs of a batch of tiles.

    The raw coordinates of an anchor are, in pixels of the network's input, the box's centre x, y
    relative to the anchor's, its width and height, and six keypoints x, y relative to the anchor.

    Args:
        coordinates: float32 [N, A, 16].
        logits: float32 [N, A, 1], scores before the sigmoid.
        anchors: float32 [A, 2] from `make_anchors`.
        input_size: side of the network's square input in pixels.
        score_threshold: from 0 to 1; candidates with a lower score are dropped.

    Returns:
        The number of the tile that each of the K candidates comes from, int [K]; their points,
        float32 [K, 8, 2]: the box's corners x0, y0 and x1, y1 and then the keypoints, in units of
        the tile; their logits, float32 [K]. A candidate that is not finite, or of negative size,
        is dropped.
    """
    tile, anchor = np.nonzero(logits[..., 0] >= to_logit(score_threshold))
    points: Array = coordinates[tile, anchor].reshape(-1, 2 + len(KEYPOINT_NAMES), 2)
    points /= input_size  # in place: indexing by arrays has made a copy
    size = points[:, 1].copy()
    points[:, 1] = 0  # from here on the box's centre, as an offset like all others
    points += anchors[anchor, None]
    points[:, 1] = points[:, 0] + size / 2
    points[:, 0] -= size / 2

    keep = np.isfinite(points).all(axis=(1, 2)) & (size >= 0).all(axis=1)
    return tile[keep], points[keep], logits[tile, anchor, 0][keep]
