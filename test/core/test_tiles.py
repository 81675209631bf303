"""Tiles: the letterbox, the way back into the frame, and what a tile is believed about."""

import numpy as np
import pytest

from blazeface_ros.core.tiles import (
    Tile,
    as_squares,
    letterbox,
    reliable_in_tile,
    to_frame_coordinates,
)


@pytest.mark.parametrize(
    ('width', 'height', 'expected'),
    [(640, 480, (0, -80, 640)), (480, 640, (-80, 0, 640)), (7, 7, (0, 0, 7)), (5, 2, (0, -1.5, 5))],
)
def test_the_letterbox_is_a_centred_square_as_large_as_the_longer_side(width, height, expected):
    assert letterbox(width, height) == Tile(*expected)


def test_tiles_are_upright_unless_told_otherwise():
    assert Tile(1, 2, 3).angle == letterbox(4, 3).angle == 0


def test_points_go_back_into_the_pixels_of_their_frame():
    points = np.float32([[[0, 0], [1, 0.5]], [[0.5, 0.5], [-1, 2]]])
    squares = as_squares([Tile(100, -20, 200), Tile(0, 0, 10)])
    expected = [[[100, -20], [300, 80]], [[5, 5], [-10, 20]]]
    np.testing.assert_allclose(to_frame_coordinates(points, squares), expected)


def test_no_tiles_are_no_squares():
    assert as_squares([]).shape == (0, 3)
    nothing = np.empty((0, 8, 2), np.float32)
    assert to_frame_coordinates(nothing, as_squares([])).shape == (0, 8, 2)


def shown(box, square):
    """Whether a square of a frame of 400 x 300 shows a face reliably.

    The finest tiles are 100 wide, and faces should be a tenth of their tile.
    """
    return bool(reliable_in_tile(np.float32(box), np.float32(square), (400, 300), 100, 0.1))


@pytest.mark.parametrize('box', [(-50, -60, 450, 350), (0, 0, 41, 41), (370, 100, 420, 150)])
def test_the_whole_frame_cuts_nothing(box):
    assert shown(box, (0, -50, 400))


def test_what_is_too_small_for_the_whole_frame_is_left_to_finer_tiles():
    assert not shown((100, 100, 139, 139), (0, -50, 400))


@pytest.mark.parametrize(
    ('box', 'reliable'),
    [
        ((130, 130, 170, 170), True),
        ((103, 103, 140, 140), True),
        ((160, 160, 197, 197), True),
        ((101, 130, 140, 170), False),
        ((130, 101, 170, 140), False),
        ((160, 130, 199, 170), False),
        ((130, 160, 170, 199), False),
        ((90, 90, 210, 210), False),
        ((220, 130, 260, 170), False),
        ((30, 130, 70, 170), False),
    ],
)
def test_a_face_at_the_edge_of_a_tile_inside_the_frame_may_be_cut(box, reliable):
    assert shown(box, (100, 100, 100)) == reliable


@pytest.mark.parametrize(
    ('square', 'box'),
    [((0, 0, 100), (-10, -5, 30, 30)), ((300, 200, 100), (370, 270, 410, 310))],
)
def test_at_the_edge_of_the_frame_a_face_may_reach_beyond(square, box):
    assert shown(box, square)


@pytest.mark.parametrize(
    ('size', 'width', 'reliable'), [(200, 19, False), (200, 21, True), (100, 5, True)]
)
def test_what_is_too_small_for_a_tile_is_left_to_the_finest(size, width, reliable):
    assert shown((50, 50, 50 + width, 50 + width), (0, 0, size)) == reliable


def test_many_faces_are_compared_with_many_tiles_at_once():
    boxes = np.float32([[130, 130, 170, 170], [20, 20, 60, 60], [180, 130, 220, 170]])
    squares = np.float32([[100, 100, 100], [0, 0, 100]])
    together = reliable_in_tile(boxes[:, None], squares, (400, 300), 100, 0.1)
    assert together.dtype == bool
    assert together.tolist() == [[shown(box, square) for square in squares] for box in boxes]
    assert together.tolist() == [[True, False], [False, True], [False, False]]
