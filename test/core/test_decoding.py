"""Anchors, decoding and suppression, by hand and by property."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from blazeface_ros.core.decoding import (
    SAME_FACE,
    decode,
    make_anchors,
    merge_overlapping,
    merge_windows,
)

SIZE = 256
ANCHORS = make_anchors([(2, 1), (1, 2)])


def logit(score):
    return np.log(score / (1 - score))


def raw_outputs():
    """Outputs for a batch of one window with nothing in it."""
    coordinates = np.zeros((1, len(ANCHORS), 16), np.float32)
    logits = np.full((1, len(ANCHORS), 1), -100, np.float32)
    return coordinates, logits


def candidate(x0, y0, x1, y1, keypoint=0.0):
    points = np.full((8, 2), keypoint, np.float32)
    points[0], points[1] = (x0, y0), (x1, y1)
    return points


def test_anchors_are_cell_centres_row_by_row_then_layer_by_layer():
    expected = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75], [0.5, 0.5], [0.5, 0.5]]
    np.testing.assert_array_equal(ANCHORS, np.float32(expected))


def test_decoding_reads_centre_size_and_keypoints_relative_to_the_anchor():
    coordinates, logits = raw_outputs()
    coordinates[0, 1, :4] = 25.6, -12.8, 51.2, 102.4  # in pixels of the input
    coordinates[0, 1, 4:6] = 25.6, 0
    logits[0, 1] = logit(0.9)
    window, points, scores = decode(coordinates, logits, ANCHORS, SIZE, 0.65)
    # Anchor 1 stands at (0.75, 0.25): the box's centre at (0.85, 0.2), its size 0.2 x 0.4.
    np.testing.assert_array_equal(window, [0])
    np.testing.assert_allclose(points[0, :2], [[0.75, 0.0], [0.95, 0.4]], atol=1e-6)
    np.testing.assert_allclose(points[0, 2], [0.85, 0.25], atol=1e-6)
    np.testing.assert_allclose(points[0, 3:], [[0.75, 0.25]] * 5, atol=1e-6)
    np.testing.assert_allclose(scores, [0.9], atol=1e-6)


def test_candidates_below_the_threshold_are_dropped_and_those_on_it_kept():
    coordinates, logits = raw_outputs()
    logits[0, :3, 0] = logit(np.array([0.6499, 0.6501, 0.8]))
    _, _, scores = decode(coordinates, logits, ANCHORS, SIZE, 0.65)
    np.testing.assert_allclose(scores, [0.6501, 0.8], atol=1e-6)


@pytest.mark.parametrize('score_threshold', [0.0, 1.0])
def test_thresholds_at_both_ends_raise_no_warning(score_threshold):
    coordinates, logits = raw_outputs()
    with np.errstate(all='raise'):
        _, _, scores = decode(coordinates, logits, ANCHORS, SIZE, score_threshold)
    assert len(scores) == 0


def test_negative_and_not_finite_candidates_are_dropped():
    coordinates, logits = raw_outputs()
    logits[:] = 2
    coordinates[0, 0, 2] = -1
    coordinates[0, 1, 3] = -1
    coordinates[0, 2, 9] = np.nan
    coordinates[0, 3, 0] = np.inf
    logits[0, 4] = np.nan
    window, points, _ = decode(coordinates, logits, ANCHORS, SIZE, 0.5)
    assert len(window) == 1
    np.testing.assert_array_equal(points[0], [[0.5, 0.5]] * 8)


def test_the_window_of_each_candidate_is_told():
    coordinates = np.zeros((3, len(ANCHORS), 16), np.float32)
    logits = np.full((3, len(ANCHORS), 1), -9, np.float32)
    logits[2, 0] = logits[0, 5] = 9
    window, _, _ = decode(coordinates, logits, ANCHORS, SIZE, 0.5)
    np.testing.assert_array_equal(window, [0, 2])


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


def test_no_candidates_give_no_faces():
    merged, scores = merge_overlapping(
        np.empty((0, 8, 2), np.float32), np.empty(0, np.float32), 0.3
    )
    assert merged.shape == (0, 8, 2)
    assert scores.shape == (0,)


coordinate = st.floats(-2, 2, width=32)
candidates = st.integers(0, 12).flatmap(
    lambda count: st.tuples(
        arrays.arrays(np.float32, (count, 8, 2), elements=coordinate),
        arrays.arrays(np.float32, (count,), elements=st.sampled_from([0.5, 0.75, 0.875, 1.0])),
        st.permutations(range(count)),
    )
)


def with_positive_sizes(points):
    points = points.copy()
    corners = np.sort(points[:, :2], axis=1)
    points[:, :2] = corners
    return points


@given(candidates, st.floats(0, 1))
def test_the_order_of_the_candidates_never_shows(drawn, iou_threshold):
    points, scores, order = drawn
    points = with_positive_sizes(points)
    # Keypoints that follow from the box, so that equal boxes are equal candidates.
    points[:, 2:] = points[:, :1]
    order = np.array(order, int)
    first = merge_overlapping(points, scores, iou_threshold)
    second = merge_overlapping(points[order], scores[order], iou_threshold)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


@given(candidates, st.floats(0, 1))
def test_merged_coordinates_stay_within_those_they_came_from(drawn, iou_threshold):
    points, scores, _ = drawn
    points = with_positive_sizes(points)
    merged, merged_scores = merge_overlapping(points, scores, iou_threshold)
    assert len(merged) <= len(points)
    assert set(merged_scores) <= set(scores)
    if len(merged):
        assert (merged >= points.min(axis=0) - 1e-5).all()
        assert (merged <= points.max(axis=0) + 1e-5).all()


@given(candidates, st.floats(0, 1))
def test_suppression_ends_also_on_boxes_of_no_or_negative_area_or_nan(drawn, iou_threshold):
    points, scores, _ = drawn
    if len(points):
        points[0] = np.nan
    with np.errstate(invalid='ignore'):
        merged, _ = merge_overlapping(points, scores, iou_threshold)
    assert len(merged) <= len(points)


# Windows


def merged_boxes(candidates, doubtful_width=0.0):
    """Merge boxes x0, y0, x1, y1, score, part. Returns those left, with their scores."""
    points = np.float32([candidate(*box[:4]) for box in candidates]).reshape(-1, 8, 2)
    scores = np.float32([box[4] for box in candidates])
    part = np.array([box[5] for box in candidates], bool)
    faces, face_scores = merge_windows(points, scores, part, doubtful_width, 0.3)
    assert faces.shape == (len(face_scores), 8, 2)
    boxes = faces[:, :2].reshape(-1, 4).round(3).tolist()
    return [(*box, score) for box, score in zip(boxes, face_scores.round(3).tolist())]


def test_without_windows_faces_are_those_of_the_whole_frame():
    points = np.stack([candidate(0, 0, 10, 10, 1), candidate(2, 0, 12, 10, 4)])
    scores = np.float32([0.6, 0.9])
    expected = merge_overlapping(points, scores, 0.3)
    found = merge_windows(points, scores, np.zeros(2, bool), 0.0, 0.3)
    for first, second in zip(found, expected):
        np.testing.assert_array_equal(first, second)


def test_what_the_whole_frame_shows_stands_also_against_a_better_score_in_a_window():
    assert merged_boxes([(0, 0, 10, 10, 0.7, False), (1, 0, 11, 10, 0.95, True)]) == [
        pytest.approx((0, 0, 10, 10, 0.7))
    ]


def test_windows_add_what_they_alone_show_and_all_come_best_first():
    found = merged_boxes(
        [(0, 0, 10, 10, 0.7, False), (50, 0, 60, 10, 0.9, True), (90, 0, 95, 5, 0.65, True)]
    )
    assert [box[0] for box in found] == [50, 0, 90]
    assert [box[4] for box in found] == pytest.approx([0.9, 0.7, 0.65])


def test_what_several_windows_show_alike_is_merged_to_their_weighted_mean():
    found = merged_boxes([(0, 0, 10, 10, 0.6, True), (2, 0, 12, 10, 0.9, True)])
    assert found == [pytest.approx((1.2, 0, 11.2, 10, 0.9))]


@pytest.mark.parametrize('in_whole', [False, True])
def test_a_box_mostly_inside_another_is_the_same_face(in_whole):
    large = (0, 0, 40, 40, 0.9, in_whole)
    mostly = (33, 0, 43, 10, 0.8, True)  # by 70 %, an intersection over union of 0.04
    barely = (36, 30, 46, 40, 0.8, True)  # by 40 %
    assert [box[0] for box in merged_boxes([large, mostly, barely])] == [0, 36]


def test_a_box_mostly_covered_by_several_faces_together_is_none_of_its_own():
    left, right = (0, 0, 10, 10, 0.9, False), (14, 0, 24, 10, 0.9, False)
    between = (7, 0, 17, 10, 0.95, True)  # 30 % of it is covered by each
    assert len(merged_boxes([left, between])) == 2
    assert [box[0] for box in merged_boxes([left, right, between])] == [0, 14]


@pytest.mark.parametrize(
    ('window', 'expected'),
    [
        (None, []),
        ((0, 0, 10, 10, 0.9, True), [(0, 0, 10, 10, 0.7)]),
        # It lies in it, but is quite another: it shows what looked like a face.
        ((0, 0, 4, 4, 0.9, True), [(0, 0, 4, 4, 0.9)]),
        ((50, 0, 60, 10, 0.9, True), [(50, 0, 60, 10, 0.9)]),
    ],
    ids=['in no window', 'alike', 'a part of it', 'elsewhere'],
)
def test_a_doubtful_face_of_the_whole_frame_stands_only_if_a_window_shows_it(window, expected):
    found = merged_boxes([(0, 0, 10, 10, 0.7, False), *([window] if window else [])], 11)
    assert found == [pytest.approx(face) for face in expected]


def test_a_face_of_the_whole_frame_that_is_large_enough_needs_no_window():
    assert len(merged_boxes([(0, 0, 10, 10, 0.7, False)], 10)) == 1


def test_no_candidates_of_any_window_give_no_faces():
    assert merged_boxes([]) == merged_boxes([], 10) == []


@given(candidates, st.floats(0, 1), st.floats(0, 2), st.integers(0, 2**12 - 1))
def test_no_face_of_a_window_lies_mostly_in_another(drawn, iou_threshold, doubtful_width, bits):
    points, scores, _ = drawn
    points = with_positive_sizes(points)
    part = np.array([bits >> i & 1 for i in range(len(points))], bool)
    faces, face_scores = merge_windows(points, scores, part, doubtful_width, iou_threshold)
    assert list(face_scores) == sorted(face_scores, reverse=True)
    whole, _ = merge_overlapping(points[~part], scores[~part], iou_threshold)
    of_whole = {face.tobytes() for face in whole}
    area = np.prod(faces[:, 1] - faces[:, 0], axis=1)
    for i, first in enumerate(faces):
        for j, second in enumerate(faces[:i]):
            overlap = np.minimum(first[1], second[1]) - np.maximum(first[0], second[0])
            if {first.tobytes(), second.tobytes()} <= of_whole or (overlap <= 0).any():
                continue
            assert np.prod(overlap) <= SAME_FACE * min(area[i], area[j]) * 1.0001
