"""Anchors, scores, and candidates from raw outputs, by hand."""

import numpy as np
import pytest

from blazeface_ros.core.decoding import decode, make_anchors, to_logit

SIZE = 256
ANCHORS = make_anchors([(2, 1), (1, 2)])


def raw_outputs(tiles=1):
    """Outputs for a batch of tiles with nothing in them."""
    coordinates = np.zeros((tiles, len(ANCHORS), 16), np.float32)
    logits = np.full((tiles, len(ANCHORS), 1), -100, np.float32)
    return coordinates, logits


def test_anchors_are_cell_centres_row_by_row_then_layer_by_layer():
    expected = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75], [0.5, 0.5], [0.5, 0.5]]
    np.testing.assert_array_equal(ANCHORS, np.float32(expected))
    assert ANCHORS.dtype == np.float32


def test_higher_scores_have_higher_logits():
    scores = np.linspace(0, 1, 101)
    assert (np.diff([to_logit(score) for score in scores]) > 0).all()
    assert to_logit(0.5) == 0


def test_decoding_reads_centre_size_and_keypoints_relative_to_the_anchor():
    coordinates, logits = raw_outputs()
    coordinates[0, 1, :4] = 25.6, -12.8, 51.2, 102.4  # in pixels of the input
    coordinates[0, 1, 4:6] = 25.6, 0
    logits[0, 1] = 2.5
    tile, points, found = decode(coordinates, logits, ANCHORS, SIZE, 0.65)
    # Anchor 1 stands at (0.75, 0.25): the box's centre at (0.85, 0.2), its size 0.2 x 0.4.
    np.testing.assert_array_equal(tile, [0])
    np.testing.assert_allclose(points[0, :2], [[0.75, 0.0], [0.95, 0.4]], atol=1e-6)
    np.testing.assert_allclose(points[0, 2], [0.85, 0.25], atol=1e-6)
    np.testing.assert_allclose(points[0, 3:], [[0.75, 0.25]] * 5, atol=1e-6)
    np.testing.assert_array_equal(found, np.float32([2.5]))
    assert points.dtype == found.dtype == np.float32


def test_candidates_below_the_threshold_are_dropped_and_those_on_it_kept():
    coordinates, logits = raw_outputs()
    threshold = to_logit(0.65)
    logits[0, :3, 0] = np.nextafter(threshold, np.float32(-9)), threshold, threshold + 1
    _, _, found = decode(coordinates, logits, ANCHORS, SIZE, 0.65)
    np.testing.assert_array_equal(found, logits[0, 1:3, 0])


@pytest.mark.parametrize(('score_threshold', 'kept'), [(0.0, 1), (1.0, 0)])
def test_thresholds_at_both_ends_raise_no_warning(score_threshold, kept):
    coordinates, logits = raw_outputs()
    logits[0, 0] = 5
    with np.errstate(all='raise'):
        _, _, found = decode(coordinates, logits, ANCHORS, SIZE, score_threshold)
    assert len(found) == kept


def test_negative_and_not_finite_candidates_are_dropped():
    coordinates, logits = raw_outputs()
    logits[:] = 2
    coordinates[0, 0, 2] = -1
    coordinates[0, 1, 3] = -1
    coordinates[0, 2, 9] = np.nan
    coordinates[0, 3, 0] = np.inf
    logits[0, 4] = np.nan
    tile, points, found = decode(coordinates, logits, ANCHORS, SIZE, 0.5)
    assert len(tile) == len(found) == 1
    np.testing.assert_array_equal(points[0], [[0.5, 0.5]] * 8)


def test_the_tile_of_each_candidate_is_told():
    coordinates, logits = raw_outputs(3)
    logits[2, 0] = logits[0, 5] = 9
    tile, _, _ = decode(coordinates, logits, ANCHORS, SIZE, 0.5)
    np.testing.assert_array_equal(tile, [0, 2])


def test_the_raw_outputs_are_not_altered():
    coordinates, logits = raw_outputs()
    coordinates[:], logits[:] = 12.8, 3
    before = coordinates.copy()
    decode(coordinates, logits, ANCHORS, SIZE, 0.5)
    np.testing.assert_array_equal(coordinates, before)


def test_no_tiles_have_no_candidates():
    tile, points, found = decode(*raw_outputs(0), ANCHORS, SIZE, 0.5)
    assert tile.shape == found.shape == (0,)
    assert points.shape == (0, 8, 2)
