"""From candidates to faces: weighted non-maximum suppression, in one tile and over several.

A face is seen by many anchors, and by several tiles. All candidates that show it become one face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.decoding import to_logit, to_score
from blazeface_ros.core.faces import Faces
from blazeface_ros.core.settings import DetectionSettings
from blazeface_ros.core.tiling import TilingPlan

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Candidates:
    """What the network gave for some tiles of one frame.

    Attributes:
        points: float32 [K, 8, 2], the box's corners x0, y0 and x1, y1 and six keypoints, in pixels
            of the frame.
        logits: float32 [K], scores before the sigmoid.
        squares: float32 [K, 3], x0, y0 and size in pixels of the tile that each was found in.
    """

    points: Array
    logits: Array
    squares: Array

    def only(self, chosen: Mask) -> Candidates:
        """Those for which a mask, bool [K], is true."""
        if chosen.all():
            return self
        return Candidates(self.points[chosen], self.logits[chosen], self.squares[chosen])


def lowest_score(plan: TilingPlan, score_threshold: float, model_threshold: float) -> float:
    """Score from which on candidates matter to `merge`, if faces count from `score_threshold` on.

    Args:
        plan: of the frame.
        score_threshold: of the faces.
        model_threshold: the model's own threshold.
    """
    if len(plan.tiles) == 1:
        return score_threshold
    return min(score_threshold, model_threshold)


def merge(
    candidates: Candidates,
    plan: TilingPlan,
    settings: DetectionSettings,
    model_threshold: float,
) -> Faces:
    """Make faces of the candidates of one frame.

    With one tile this is MediaPipe's rule, see `merge_overlapping`. With several, a candidate only
    counts where its tile shows it reliably, and the rest is `merge_tiles`. The scores decide:

    | score of a candidate           | one tile               | several tiles                   |
    |--------------------------------|------------------------|---------------------------------|
    | from the score threshold on    | may become a face, is  | may become a face               |
    |                                | part of the means      |                                 |
    | from the model's threshold on  | nothing more           | is part of the means            |
    | lower                          | does not count         | is part of the mean only of a   |
    |                                |                        | face that scores no higher      |

    Args:
        candidates: from `lowest_score` on, or lower.
        plan: of the frame.
        settings: with the thresholds; a score threshold of 0 is the model's own.
        model_threshold: the model's own threshold.

    Returns:
        The faces, best score first. There may be more than `max_faces`.
    """
    threshold = settings.score_threshold or model_threshold
    lowest = lowest_score(plan, threshold, model_threshold)
    candidates = candidates.only(candidates.logits >= to_logit(lowest))
    if len(plan.tiles) == 1:
        points, scores = merge_overlapping(
            candidates.points, to_score(candidates.logits), settings.iou_threshold
        )
    else:
        boxes = candidates.points[:, :2].reshape(-1, 4)
        candidates = candidates.only(plan.shows_reliably(boxes, candidates.squares))
        points, scores = merge_tiles(
            candidates.points,
            to_score(candidates.logits),
            settings.iou_threshold,
            model_threshold,
        )
        counts = scores >= to_score(np.array(to_logit(threshold)))
        points, scores = points[counts], scores[counts]
    return Faces.from_points(points, scores)


def merge_overlapping(points: Array, scores: Array, iou_threshold: float) -> tuple[Array, Array]:
    """Weighted non-maximum suppression, as MediaPipe's NonMaxSuppressionCalculator (WEIGHTED).

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
    points, scores = _best_first(points, scores)
    pairs = _Overlaps(points)
    free = np.ones(len(scores), bool)
    seeds, clusters = [], []
    while free.any():
        best = int(free.argmax())
        cluster = pairs.alike(best, pairs.shared(best), iou_threshold) & free
        free ^= cluster
        seeds.append(best)
        clusters.append(cluster)
        if free[best]:  # it does not even overlap itself
            cluster[best] = True
            break
    return _weighted_means(points, scores, seeds, clusters)


#: Boxes show the same face if the smaller one lies in the larger one by more than this share.
SAME_FACE_SHARE = 0.5
#: A box of which others cover more than this share shows no face of its own.
COVERED_SHARE = 0.5


def merge_tiles(
    points: Array, scores: Array, iou_threshold: float, model_threshold: float
) -> tuple[Array, Array]:
    """Weighted non-maximum suppression over tiles of different sizes.

    Going from the best score down, each candidate that no better one suppresses becomes a face. As
    in `merge_overlapping` the face is the mean of the candidates that overlap it. Three things are
    different:

    * Only a higher score suppresses, and by the candidates' own boxes. So a face that stands with
      one score threshold stands with every lower one.
    * Boxes also show the same face where one lies inside the other: a network's boxes of one face
      are wider in larger tiles.
    * The mean takes only candidates from the model's own threshold on, or from the face's own score
      on where that is lower. Weak candidates would widen it.

    The result does not depend on which candidates below both of these scores are given.

    Args:
        points: float32 [K, 8, 2] in pixels of the frame, as for `merge_overlapping`.
        scores: float32 [K].
        iou_threshold: intersection over union, 0 to 1.
        model_threshold: the model's own score threshold.

    Returns:
        The faces' points, float32 [F, 8, 2], and scores, float32 [F], best first.
    """
    points, scores = _best_first(points, scores)
    pairs = _Overlaps(points)
    strong = scores >= model_threshold
    free = np.ones(len(scores), bool)
    covered = np.zeros(len(scores), points.dtype)
    seeds, clusters = [], []
    while free.any():
        best = int(free.argmax())
        shared = pairs.shared(best)
        alike = pairs.alike(best, shared, iou_threshold)
        in_mean = strong if strong[best] else scores >= scores[best]
        cluster = alike & free & in_mean
        cluster[best] = True
        covered += shared
        smaller = np.minimum(pairs.area, pairs.area[best])
        free &= ~alike & (shared <= SAME_FACE_SHARE * smaller)
        free &= covered <= COVERED_SHARE * pairs.area
        free[best] = False
        seeds.append(best)
        clusters.append(cluster)
    return _weighted_means(points, scores, seeds, clusters)


def _best_first(points: Array, scores: Array) -> tuple[Array, Array]:
    """Sorted by score. Equal scores are ordered by their corners.

    So the order in which the candidates came can never show in the result.
    """
    corners = points[:, :2].reshape(len(scores), 4)
    order = np.lexsort((*corners.T, -scores))
    return points[order], scores[order]


class _Overlaps:
    """How one of many boxes overlaps all others.

    Attributes:
        area: of the boxes, [K].
    """

    def __init__(self, points: Array) -> None:
        # Corner by corner in a row each, as `shared` goes along all candidates for each face.
        self._low, self._high = (np.ascontiguousarray(points[:, corner].T) for corner in (0, 1))
        self.area: Array = np.prod(self._high - self._low, axis=0)

    def shared(self, one: int) -> Array:
        """The area that a box shares with each, [K]."""
        sides = np.minimum(self._high[:, one, None], self._high)
        sides -= np.maximum(self._low[:, one, None], self._low)
        np.maximum(sides, 0, out=sides)
        product: Array = sides[0] * sides[1]
        return product

    def alike(self, one: int, shared: Array, iou_threshold: float) -> Mask:
        """Whether the intersection over union of a box with each is above the threshold, [K]."""
        # shared > threshold * (area + area - shared): no union of zero may divide.
        limit = self.area * iou_threshold
        result: Mask = shared * (1 + iou_threshold) > limit + limit[one]
        return result


def _weighted_means(
    points: Array, scores: Array, seeds: list[int], clusters: list[Mask]
) -> tuple[Array, Array]:
    """The mean points of each cluster, weighted by score, and the score of its best candidate."""
    if not seeds:
        return points[:0], scores[:0]
    weights = np.array(clusters) * scores
    weights /= weights.sum(axis=1, keepdims=True)
    faces = weights @ points.reshape(len(scores), -1)
    return faces.reshape(-1, *points.shape[1:]), scores[seeds]
