"""What holds of scores, of merging in one tile and of ids, whatever a network gives."""

import numpy as np
import pytest
from core_support import everywhere, faces_at, nowhere, within
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from blazeface_ros.core.decoding import to_logit, to_score
from blazeface_ros.core.merging import merge_overlapping, merge_tiles
from blazeface_ros.core.tracking import Tracker

pytestmark = pytest.mark.hypothesis

#: The model's own score threshold.
OWN = 0.65

# Scores


@given(st.floats(0, 1))
def test_a_score_survives_the_way_to_its_logit_and_back(score):
    logit = to_logit(score)
    assert logit.dtype == np.float32
    back = to_score(np.array([logit]))
    assert back.dtype == np.float32
    assert back[0] == pytest.approx(score, abs=1e-6)


# Merging in one tile

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
    points[:, :2] = np.sort(points[:, :2], axis=1)
    return points


@given(candidates, st.floats(0, 1))
def test_the_order_of_the_candidates_never_shows_in_one_tile(drawn, iou_threshold):
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
    if len(points):
        assert len(merged)
        assert merged_scores[0] == scores.max()
        assert (merged >= points.min(axis=0) - 1e-5).all()
        assert (merged <= points.max(axis=0) + 1e-5).all()


@given(candidates, st.floats(0, 1))
def test_suppression_ends_also_on_boxes_of_no_or_negative_area_or_nan(drawn, iou_threshold):
    points, scores, _ = drawn
    if len(points):
        points[0] = np.nan
    with np.errstate(invalid='ignore'):
        for rule in (
            merge_overlapping(points, scores, iou_threshold),
            merge_tiles(points, scores, iou_threshold, OWN),
        ):
            assert len(rule[0]) == len(rule[1]) <= len(points)


# Ids


def number_of(key):
    """The number in an id, which starts with a letter."""
    assert key[0] == 'f'
    return int(key[1:])


position = st.floats(-3000, 3000, width=32)
frame = st.tuples(
    st.lists(st.tuples(position, position, st.floats(0, 500, width=32)), max_size=8),
    st.sampled_from([0.0, 1e-9, 0.03, 0.3, 0.99, 2.0, -1.0]),
    st.sampled_from([None, nowhere, everywhere, within(0, 500)]),
)


@given(st.lists(frame, max_size=12), st.booleans(), st.sampled_from([0.0, 1.0, 1e6]))
def test_ids_are_never_used_twice_and_all_numbers_finite(frames, smooth, lost_after):
    tracker = Tracker(lost_after, smooth)
    seconds, gone, before, highest = 1000.0, set(), set(), 0
    for places, step, searched in frames:
        seconds += step
        faces = faces_at([place[:2] for place in places], [place[2] for place in places])
        with np.errstate(all='raise', under='ignore'):
            result = tracker.update(faces, seconds, searched)
        assert len(result) >= len(faces)
        assert len(set(result.ids)) == len(result.ids)
        assert result.predicted.tolist() == [i >= len(faces) for i in range(len(result))]
        for numbers in (result.boxes, result.keypoints, result.scores, tracker.expected(seconds)):
            assert numbers.dtype == np.float32
            assert np.isfinite(numbers).all()
        assert (result.boxes[:, 2:] >= result.boxes[:, :2]).all()
        live = set(tracker.trails())
        assert set(result.ids) <= live
        gone |= before - live
        assert not gone & live
        assert all(number_of(key) > highest for key in live - before)
        highest = max(highest, *map(number_of, live), 0)
        before = live
