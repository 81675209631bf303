"""What holds of merging whatever a network gives: above all, that a lower threshold loses no face.

The candidates are drawn as networks give them: clusters around faces, from all tiles that show a
part of them, wider in larger tiles, with scores that may be anything, and strays.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blazeface_ros.core.boxes import areas, intersections, iou
from blazeface_ros.core.decoding import to_logit, to_score
from blazeface_ros.core.merging import (
    COVERED_SHARE,
    SAME_FACE_SHARE,
    Candidates,
    merge,
    merge_overlapping,
)
from blazeface_ros.core.settings import DetectionSettings
from blazeface_ros.core.tiles import as_squares
from blazeface_ros.core.tiling import plan_tiles

pytestmark = pytest.mark.hypothesis

#: The model's own score threshold.
OWN = 0.65
WHOLE, TILED = (plan_tiles(1920, 1080, smallest, 1 / 14) for smallest in (0, 48))
SQUARES = as_squares(TILED.tiles)
#: Where the keypoints of a face stand in its box.
KEYPOINTS = [[0.3, 0.35], [0.7, 0.35], [0.5, 0.55], [0.5, 0.75], [0.1, 0.4], [0.9, 0.4]]


def boxes_seen(random, box, square):
    """Boxes [N, 4] in which a network may see a face in a tile: none, one, or several."""
    width, side = box[2] - box[0], square[2]
    touches = (np.minimum(box[2:], square[:2] + side) > np.maximum(box[:2], square[:2])).all()
    count = random.integers(0, 5) if touches else 0
    # Up to three times as wide where the face is small in the tile.
    coarse = 1 + np.clip(side / (14 * width) - 0.5, 0, 2) * random.uniform(0, 1, (count, 1))
    size = width * coarse * random.normal(1, 0.1, (count, 1)).clip(0.5)
    middle = (box[:2] + box[2:]) / 2 + random.normal(0, 0.1, (count, 2)) * size
    return np.concatenate([middle - size / 2, middle + size / 2], axis=1)


@st.composite
def candidates(draw, most_faces=6):
    """Candidates of a frame of `TILED`, no two of which have the same score."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    faces, strays = draw(st.integers(0, most_faces)), draw(st.integers(0, 12))
    boxes, squares = [np.empty((0, 4))], [np.empty((0, 3))]
    for _ in range(faces):
        width = np.exp(random.uniform(np.log(24), np.log(500)))
        low = random.uniform(-0.2 * width, np.array([1920, 1080]) - 0.8 * width)
        for square in SQUARES:
            seen = boxes_seen(random, np.concatenate([low, low + width]), square)
            boxes.append(seen)
            squares.append(np.tile(square, (len(seen), 1)))
    low = random.uniform(0, (1900, 1060), (strays, 2))
    boxes.append(np.concatenate([low, low + random.uniform(5, 300, (strays, 1))], axis=1))
    squares.append(SQUARES[random.integers(0, len(SQUARES), strays)])
    corners = np.concatenate(boxes).reshape(-1, 2, 2)
    low, size = corners[:, :1], np.diff(corners, axis=1)
    points = np.concatenate([corners, low + size * KEYPOINTS], axis=1)
    logits = random.permutation(np.linspace(-3, 5, len(points)))
    return Candidates(*map(np.float32, (points, logits, np.concatenate(squares))))


thresholds = st.floats(0.05, 0.99)


def merged(some, threshold, plan=TILED):
    return merge(some, plan, DetectionSettings(score_threshold=threshold), OWN)


def boxes_of(some):
    return some.points[:, :2].reshape(-1, 4)


def reliable(some):
    """The candidates that their tiles show reliably."""
    return some.only(TILED.shows_reliably(boxes_of(some), some.squares))


def seeds_of(faces, some):
    """Which candidate each face comes from, by its score: numbers [F]."""
    scores = to_score(some.logits)
    seeds = [np.flatnonzero(scores == score) for score in faces.scores]
    assert all(len(seed) == 1 for seed in seeds)
    return np.array(seeds, int).reshape(-1)


@settings(max_examples=150)
@given(candidates(), thresholds, thresholds)
def test_a_lower_threshold_adds_faces_and_leaves_those_that_were_there_as_they_were(
    some, one, other
):
    strict, lenient = merged(some, max(one, other)), merged(some, min(one, other))
    assert len(strict) <= len(lenient)
    kept = lenient[: len(strict)]
    np.testing.assert_array_equal(kept.scores, strict.scores)
    np.testing.assert_allclose(kept.points, strict.points, rtol=1e-5, atol=1e-2)
    assert (lenient.scores[len(strict) :] < max(one, other) + 1e-6).all()
    assert (np.diag(iou(kept.boxes, strict.boxes)) > 0.99).all()


@settings(max_examples=100)
@given(candidates(), thresholds)
def test_no_two_faces_show_the_same_face(some, threshold):
    some = reliable(some)
    seeds = seeds_of(merged(some, threshold), some)
    boxes = boxes_of(some)[seeds]
    area, shared = areas(boxes), intersections(boxes, boxes)
    earlier = np.tri(len(boxes), k=-1, dtype=bool)  # for each face those that score more
    rounding = 1.0001
    assert (iou(boxes, boxes)[earlier] <= 0.3 * rounding).all()
    smaller = np.minimum(area[:, None], area)
    assert (shared <= SAME_FACE_SHARE * smaller * rounding)[earlier].all()
    assert ((shared * earlier).sum(axis=1) <= COVERED_SHARE * area * rounding).all()


@settings(max_examples=100)
@given(candidates(), thresholds)
def test_each_reliable_candidate_is_a_face_or_shows_one_that_scores_more(some, threshold):
    some = reliable(some)
    some = some.only(to_score(some.logits) >= threshold)
    faces = merged(some, threshold)
    seeds = seeds_of(faces, some)
    boxes = boxes_of(some)
    shared = intersections(boxes, boxes[seeds])
    better = some.logits[:, None] < some.logits[seeds]
    smaller = np.minimum(areas(boxes)[:, None], areas(boxes)[seeds])
    same = (iou(boxes, boxes[seeds]) > 0.2999) | (shared > 0.4999 * smaller)
    covered = (shared * better).sum(axis=1) > 0.4999 * areas(boxes)
    is_face = np.isin(np.arange(len(boxes)), seeds)
    assert (is_face | (same & better).any(axis=1) | covered).all()


@settings(max_examples=100)
@given(candidates(), thresholds)
def test_weak_candidates_do_not_change_a_strong_face(some, threshold):
    strong = some.only(to_score(some.logits) >= OWN)
    alone = merged(strong, threshold)
    among_weak = merged(some, threshold)
    together = among_weak[among_weak.scores >= OWN]
    alone = alone[alone.scores >= OWN]
    np.testing.assert_array_equal(together.scores, alone.scores)
    np.testing.assert_allclose(together.points, alone.points, rtol=1e-5, atol=1e-2)


@settings(max_examples=100)
@given(candidates(), thresholds, st.integers(0, 2**32 - 1), st.booleans())
def test_the_order_of_the_candidates_never_shows(some, threshold, seed, tied):
    logits = some.logits.round() if tied else some.logits
    order = np.random.default_rng(seed).permutation(len(logits))
    first = merged(Candidates(some.points, logits, some.squares), threshold)
    shuffled = Candidates(some.points[order], logits[order], some.squares[order])
    assert merged(shuffled, threshold) == first


@settings(max_examples=100)
@given(candidates(), thresholds)
def test_a_face_lies_between_the_strong_candidates_that_overlap_its_best(some, threshold):
    some = reliable(some)
    faces = merged(some, threshold)
    assert list(faces.scores) == sorted(faces.scores, reverse=True)
    strong = to_score(some.logits) >= OWN
    for face, seed in zip(faces, seeds_of(faces, some)):
        alike = strong & (iou(boxes_of(some)[[seed]], boxes_of(some))[0] > 0.2999)
        alike &= strong[seed]  # a weak face is its best candidate alone
        alike[seed] = True
        assert (face.points[0] >= some.points[alike].min(axis=0) - 0.01).all()
        assert (face.points[0] <= some.points[alike].max(axis=0) + 0.01).all()


@settings(max_examples=100)
@given(candidates(), thresholds)
def test_with_one_tile_the_rule_is_that_of_mediapipe_to_the_bit(some, threshold):
    faces = merged(some, threshold, WHOLE)
    counted = some.only(some.logits >= to_logit(threshold))
    points, scores = merge_overlapping(counted.points, to_score(counted.logits), 0.3)
    np.testing.assert_array_equal(faces.points.view(np.uint32), points.view(np.uint32))
    np.testing.assert_array_equal(faces.scores.view(np.uint32), scores.view(np.uint32))
