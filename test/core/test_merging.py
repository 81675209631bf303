"""From candidates to faces, by hand: in one tile, as MediaPipe does, and over several."""

import numpy as np
import pytest

from blazeface_ros.core.decoding import to_logit
from blazeface_ros.core.merging import (
    Candidates,
    lowest_score,
    merge,
    merge_overlapping,
    merge_tiles,
)
from blazeface_ros.core.settings import DetectionSettings
from blazeface_ros.core.tiles import as_squares
from blazeface_ros.core.tiling import plan_tiles

#: The model's own score threshold.
OWN = 0.65


def candidate(x0, y0, x1, y1, keypoint=0.0):
    points = np.full((8, 2), keypoint, np.float32)
    points[0], points[1] = (x0, y0), (x1, y1)
    return points


# One tile


def test_overlapping_candidates_become_their_weighted_mean_with_the_best_score():
    points = np.stack([candidate(0, 0, 10, 10, 1), candidate(2, 0, 12, 10, 4)])
    merged, scores = merge_overlapping(points, np.float32([0.6, 0.9]), 0.3)
    # Weights 0.4 and 0.6.
    np.testing.assert_allclose(merged[0, :2], [[1.2, 0], [11.2, 10]], rtol=1e-6)
    np.testing.assert_allclose(merged[0, 2:], 2.8, rtol=1e-6)
    np.testing.assert_allclose(scores, [0.9])


def test_boxes_that_overlap_by_just_the_threshold_stay_apart():
    points = np.stack([candidate(0, 0, 4, 4), candidate(2, 0, 6, 4)])  # IoU 8 / 24
    for iou_threshold, faces in ((8 / 24 + 1e-6, 2), (8 / 24 - 1e-6, 1)):
        merged, _ = merge_overlapping(points, np.float32([0.9, 0.8]), iou_threshold)
        assert len(merged) == faces


def test_a_cluster_forms_around_the_best_box_and_not_along_a_chain():
    # Each overlaps its neighbour by 1/3, the first and the last not at all.
    points = np.stack([candidate(x, 0, x + 4, 4) for x in (0, 2, 4)])
    merged, scores = merge_overlapping(points, np.float32([0.9, 0.8, 0.7]), 0.3)
    np.testing.assert_allclose(scores, [0.9, 0.7])
    np.testing.assert_allclose(merged[1, :2], [[4, 0], [8, 4]])


def test_a_box_without_area_ends_the_search_as_in_mediapipe():
    points = np.stack([candidate(5, 5, 5, 5), candidate(0, 0, 4, 4)])
    merged, scores = merge_overlapping(points, np.float32([0.9, 0.8]), 0.3)
    np.testing.assert_allclose(scores, [0.9])
    np.testing.assert_array_equal(merged[0, :2], [[5, 5], [5, 5]])


# Several tiles


def merged_boxes(candidates):
    """Merge boxes x0, y0, x1, y1, score of several tiles. Returns those left, with their scores."""
    points = np.float32([candidate(*box[:4]) for box in candidates]).reshape(-1, 8, 2)
    scores = np.float32([box[4] for box in candidates])
    faces, face_scores = merge_tiles(points, scores, 0.3, OWN)
    assert faces.shape == (len(face_scores), 8, 2)
    boxes = faces[:, :2].reshape(-1, 4).round(3).tolist()
    return [(*box, score) for box, score in zip(boxes, face_scores.round(3).tolist())]


def test_what_several_tiles_show_alike_is_merged_to_their_weighted_mean():
    found = merged_boxes([(0, 0, 10, 10, 0.7), (2, 0, 12, 10, 0.9)])
    assert found == [pytest.approx((1.125, 0, 11.125, 10, 0.9))]


def test_faces_apart_all_stand_best_first():
    found = merged_boxes([(0, 0, 10, 10, 0.7), (50, 0, 60, 10, 0.9), (90, 0, 95, 5, 0.2)])
    assert [box[0] for box in found] == [50, 0, 90]
    assert [box[4] for box in found] == pytest.approx([0.9, 0.7, 0.2])


def test_a_coarse_box_three_times_as_wide_with_a_lower_score_yields_to_the_good_one():
    good, coarse = (0, 0, 10, 10, 0.9), (-10, -10, 20, 20, 0.89)
    assert merged_boxes([coarse, good]) == [pytest.approx(good)]


def test_candidates_below_the_models_threshold_do_not_widen_a_good_box():
    good, weak = (0, 0, 10, 10, 0.9), (-1, -1, 12, 12, 0.64)
    assert merged_boxes([good, weak]) == [pytest.approx(good)]


def test_a_face_below_the_models_threshold_stands_as_its_best_candidate_shows_it():
    best, weaker = (0, 0, 10, 10, 0.5), (2, 0, 12, 10, 0.4)
    assert merged_boxes([weaker, best]) == [pytest.approx(best)]
    equal = (2, 0, 12, 10, 0.5)
    assert merged_boxes([equal, best]) == [pytest.approx((1, 0, 11, 10, 0.5))]


def test_a_box_mostly_inside_another_is_the_same_face():
    large = (0, 0, 40, 40, 0.9)
    mostly = (33, 0, 43, 10, 0.8)  # by 70 %, an intersection over union of 0.04
    barely = (36, 30, 46, 40, 0.8)  # by 40 %
    assert [box[0] for box in merged_boxes([large, mostly, barely])] == [0, 36]


def test_a_box_mostly_covered_by_several_better_faces_together_is_none_of_its_own():
    left, right = (0, 0, 10, 10, 0.9), (14, 0, 24, 10, 0.9)
    between = (7, 0, 17, 10)  # 30 % of it is covered by each
    assert len(merged_boxes([left, (*between, 0.8)])) == 2
    assert [box[0] for box in merged_boxes([left, right, (*between, 0.8)])] == [0, 14]
    assert [box[0] for box in merged_boxes([left, right, (*between, 0.95)])] == [7, 0, 14]


def test_a_suppressed_candidate_suppresses_no_other():
    # Each overlaps its neighbour by more than the threshold, the first and the last do not.
    found = merged_boxes([(0, 0, 10, 10, 0.9), (4, 0, 14, 10, 0.8), (8, 0, 18, 10, 0.7)])
    assert [box[4] for box in found] == pytest.approx([0.9, 0.7])


def test_no_candidates_give_no_faces():
    nothing = np.empty((0, 8, 2), np.float32), np.empty(0, np.float32)
    for merged, scores in (merge_overlapping(*nothing, 0.3), merge_tiles(*nothing, 0.3, OWN)):
        assert merged.shape == (0, 8, 2)
        assert scores.shape == (0,)


# A frame

WHOLE = plan_tiles(640, 480, 0, 1 / 14)
TILED = plan_tiles(640, 480, 20, 1 / 14)


def faces_of(plan, candidates, **settings):
    """The faces of a frame in which (box, score, tile) were found."""
    given_ = Candidates(
        np.float32([candidate(*box) for box, _, _ in candidates]).reshape(-1, 8, 2),
        np.float32([to_logit(score) for _, score, _ in candidates]),
        as_squares([tile for _, _, tile in candidates]),
    )
    return merge(given_, plan, DetectionSettings(**settings), OWN)


def test_what_a_tile_does_not_show_reliably_counts_for_nothing():
    tile = TILED.tiles[-1]  # in the lower right corner
    x, y = tile.x0, tile.y0
    cut, whole = (x - 5, y + 100, x + 45, y + 150), (x + 50, y + 100, x + 100, y + 150)
    small = (20, 20, 40, 40)
    found = faces_of(TILED, [(cut, 0.95, tile), (whole, 0.8, tile), (small, 0.9, TILED.tiles[0])])
    np.testing.assert_allclose(found.boxes, [whole])
    np.testing.assert_allclose(found.scores, [0.8], atol=1e-6)
    # With one tile there is no other that could show them better.
    assert len(faces_of(WHOLE, [(small, 0.9, WHOLE.tiles[0])])) == 1


@pytest.mark.parametrize('plan', [WHOLE, TILED], ids=['one tile', 'several'])
def test_a_threshold_of_zero_is_the_models_own(plan):
    boxes = [(x, 100, x + 60, 160) for x in (0, 100, 200)]
    some = [(box, score, plan.tiles[0]) for box, score in zip(boxes, (0.9, 0.66, 0.64))]
    assert len(faces_of(plan, some)) == 2
    assert len(faces_of(plan, some, score_threshold=0.6)) == 3
    assert len(faces_of(plan, some, score_threshold=0.7)) == 1
    np.testing.assert_array_equal(
        faces_of(plan, some).points, faces_of(plan, some, score_threshold=OWN).points
    )


def test_the_overlap_that_counts_as_one_face_can_be_set():
    for plan, shift in ((WHOLE, 25), (TILED, 32)):  # IoU 0.41 and 0.30
        some = [((x, 100, x + 60, 160), 0.9, plan.tiles[0]) for x in (0, shift)]
        overlap = (60 - shift) / (60 + shift)
        assert len(faces_of(plan, some, iou_threshold=overlap - 0.01)) == 1
        assert len(faces_of(plan, some, iou_threshold=overlap + 0.01)) == 2


def test_all_faces_are_given_also_beyond_max_faces():
    some = [((x, 100, x + 60, 160), 0.9, TILED.tiles[0]) for x in (0, 100, 200)]
    assert len(faces_of(TILED, some, max_faces=1)) == 3


@pytest.mark.parametrize('threshold', [0.9, OWN, 0.3])
def test_candidates_matter_from_a_score_on_that_the_detector_is_told(threshold):
    assert lowest_score(WHOLE, threshold, OWN) == threshold
    assert lowest_score(TILED, threshold, OWN) == min(threshold, OWN)
