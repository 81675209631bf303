"""From the network's raw outputs to faces: anchors, decoding, weighted non-maximum suppression.

Follows MediaPipe's SsdAnchorsCalculator, TensorsToDetectionsCalculator and
NonMaxSuppressionCalculator (algorithm WEIGHTED).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.boxes import areas, intersections
from blazeface_ros.core.faces import KEYPOINT_NAMES

Array = npt.NDArray[np.float32]


def make_anchors(grids: Sequence[tuple[int, int]]) -> Array:
    """The centres from which the network predicts.

    BlazeFace uses MediaPipe's `fixed_anchor_size`: each anchor has size 1 x 1, so only its centre
    matters.

    Args:
        grids: (cells along a side, anchors per cell) of each output layer, in output order.

    Returns:
        float32 [A, 2], x, y in units of the window (0 to 1), row by row, then anchor by anchor.
    """
    layers = []
    for cells, anchors_per_cell in grids:
        centres = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        x, y = np.meshgrid(centres, centres)
        layers.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), anchors_per_cell, axis=0))
    return np.concatenate(layers)


def decode(
    coordinates: Array, logits: Array, anchors: Array, input_size: int, score_threshold: float
) -> tuple[npt.NDArray[np.intp], Array, Array]:
    """Read the candidates above the threshold out of the raw outputs of a batch of windows.

    The raw coordinates of an anchor are, in pixels of the network's input, the box's centre x, y
    relative to the anchor's, its width and height, and six keypoints x, y relative to the anchor.

    Args:
        coordinates: float32 [N, A, 16].
        logits: float32 [N, A, 1], scores before the sigmoid.
        anchors: float32 [A, 2] from `make_anchors`.
        input_size: side of the network's square input in pixels.
        score_threshold: between 0 and 1; candidates below it are dropped.

    Returns:
        The window each of the K candidates comes from, int [K]; their points, float32 [K, 8, 2]:
        the box's corners x0, y0 and x1, y1 and then the keypoints, in units of the window; their
        scores, float32 [K]. A candidate that is not finite, or of negative size, is dropped.
    """
    # In logit space the threshold costs one comparison an anchor and no exponential. The sigmoid
    # is monotonic, so only the few survivors need it.
    threshold = min(max(score_threshold, 1e-9), 1 - 1e-9)
    # As float32: NumPy 1 and 2 compare with other numbers differently.
    least = np.float32(math.log(threshold / (1 - threshold)))
    window, anchor = np.nonzero(logits[..., 0] >= least)
    scores: Array = 1 / (1 + np.exp(-logits[window, anchor, 0]))

    points: Array = coordinates[window, anchor].reshape(-1, 2 + len(KEYPOINT_NAMES), 2)
    points /= input_size  # a copy already
    size = points[:, 1].copy()
    points[:, 1] = 0  # from here on the box's centre, as an offset like all others
    points += anchors[anchor, None]
    points[:, 1] = points[:, 0] + size / 2
    points[:, 0] -= size / 2

    keep = np.isfinite(points).all(axis=(1, 2)) & (size >= 0).all(axis=1)
    return window[keep], points[keep], scores[keep]


def merge_overlapping(
    points: Array, scores: Array, iou_threshold: float
) -> tuple[Array, Array]:
    """Weighted non-maximum suppression: each face is the mean of all candidates that show it.

    The best candidate and all that overlap it by more than the threshold form a cluster. It
    becomes one face: the corners and keypoints are the cluster's mean, weighted by score; the
    score is the best candidate's own. As in MediaPipe, the search ends with a round that removes
    nothing (a box without area does not even overlap itself).

    Args:
        points: float32 [K, 8, 2], the box's corners x0, y0 and x1, y1 and six keypoints, in any
            one unit.
        scores: float32 [K].
        iou_threshold: intersection over union, 0 to 1.

    Returns:
        The faces' points, float32 [F, 8, 2], and scores, float32 [F], best first.
    """
    # Best first. Equal scores are ordered by their corners, so that the order in which the
    # candidates came can never show in the result.
    count = len(scores)
    order = np.lexsort((*points[:, :2].reshape(count, 4).T, -scores))
    points, scores = points[order], scores[order]
    # Corner by corner in a row each, as the loop below goes along all candidates for each face.
    low, high = (np.ascontiguousarray(points[:, corner].T) for corner in (0, 1))
    area = np.prod(high - low, axis=0) * iou_threshold
    free = np.ones(count, bool)
    best_of, clusters = [], []
    while free.any():
        best = int(free.argmax())
        overlap = np.minimum(high[:, best, None], high)
        overlap -= np.maximum(low[:, best, None], low)
        np.maximum(overlap, 0, out=overlap)
        intersection = overlap[0] * overlap[1]
        # intersection > threshold * (area + area - intersection): no union of zero may divide.
        cluster = intersection * (1 + iou_threshold) > area + area[best]
        cluster &= free
        free ^= cluster
        best_of.append(best)
        clusters.append(cluster)
        if free[best]:  # it does not even overlap itself
            cluster[best] = True
            break
    if not count:
        return points, scores
    weights = np.array(clusters) * scores
    weights /= weights.sum(axis=1, keepdims=True)
    faces = weights @ points.reshape(count, -1)
    return faces.reshape(-1, *points.shape[1:]), scores[best_of]


#: Boxes of different windows show the same face if the smaller one lies in the other by this share.
SAME_FACE = 0.5


def merge_windows(
    points: Array,
    scores: Array,
    part: npt.NDArray[np.bool_],
    doubtful_width: float,
    iou_threshold: float,
) -> tuple[Array, Array]:
    """Merge the candidates of all windows of a frame.

    What the whole frame shows stands as it is; windows add what they alone show.

    Args:
        points: float32 [K, 8, 2], as for `merge_overlapping`, in pixels of the frame.
        scores: float32 [K].
        part: bool [K], found in a window that is a part of the frame.
        doubtful_width: in pixels; what the whole frame shows smaller than this stands only if a
            window shows it as well.
        iou_threshold: as for `merge_overlapping`.

    Returns:
        The faces' points, float32 [F, 8, 2], and scores, float32 [F], best first.
    """
    whole = merge_overlapping(points[~part], scores[~part], iou_threshold)
    if not part.any() and not doubtful_width:
        return whole
    added = merge_overlapping(points[part], scores[part], iou_threshold)
    faces, face_scores = (np.concatenate(pair) for pair in zip(whole, added))
    boxes = faces[:, :2].reshape(-1, 4)
    area, shared = areas(boxes), intersections(boxes, boxes)
    same = shared > SAME_FACE * np.minimum(area[:, None], area)
    first_added = len(whole[1])
    doubtful = boxes[:first_added, 2] - boxes[:first_added, 0] < doubtful_width
    alike = shared * (1 + iou_threshold) > iou_threshold * (area[:, None] + area)
    refuted = doubtful & ~alike[:first_added, first_added:].any(axis=1)
    # What the whole frame shows comes first, then the better score.
    kept: list[int] = []
    for face in range(len(faces)):
        covered = shared[face, kept].sum() > SAME_FACE * area[face]
        shown_better = covered or same[face, kept].any()
        if not shown_better and not (face < first_added and refuted[face]):
            kept.append(face)
    order = np.array(kept, np.intp)[np.argsort(-face_scores[kept], kind='stable')]
    return faces[order], face_scores[order]
