"""What people see drawn on a picture."""

from dataclasses import replace

import numpy as np
import pytest
from core_support import faces_at

from blazeface_ros import Faces, draw_faces
from blazeface_ros.core.drawing import (
    BOX_COLOR,
    KEYPOINT_COLORS,
    PREDICTED_COLOR,
    TILE_COLOR,
    TRAIL_COLOR,
    draw_tiles,
    draw_trails,
)
from blazeface_ros.core.tiles import Tile


def canvas():
    """A black picture, so large that lines are more than a pixel wide."""
    return np.zeros((720, 960, 3), np.uint8)


def has_color(bgr, color):
    return bool((bgr == color).all(axis=-1).any())


def drawn(faces, caption=''):
    bgr = canvas()
    draw_faces(bgr, faces, caption)
    return bgr


def test_no_faces_leave_the_picture_as_it_is():
    np.testing.assert_array_equal(drawn(Faces.empty()), canvas())


def test_a_face_has_a_box_and_six_keypoints_each_in_its_color():
    faces = faces_at([480, 360], 300)
    bgr = drawn(faces)
    x0, _, x1, y1 = faces.boxes[0].astype(int)
    for x, y in ((x0, 360), (x1, 360), (480, y1)):
        assert tuple(bgr[y, x]) == BOX_COLOR
    for (x, y), color in zip(faces.keypoints[0].astype(int), KEYPOINT_COLORS, strict=True):
        assert tuple(bgr[y, x]) == color
    # Nothing is drawn away from the face and its label above.
    assert not bgr[y1 + 5 :].any()


def test_the_box_of_a_predicted_face_is_pale():
    faces = replace(faces_at([480, 360], 300), predicted=np.array([True]))
    assert has_color(drawn(faces), PREDICTED_COLOR)
    assert not has_color(drawn(faces), BOX_COLOR)


def test_ids_and_captions_are_written():
    faces = faces_at([480, 360], 300)
    plain = drawn(faces)
    assert (plain != drawn(replace(faces, ids=('f0001',)))).any()
    captioned = drawn(faces, 'five faces')
    assert (plain != captioned)[600:].any()
    assert not (plain != captioned)[:600].any()


def test_trails_and_tiles_are_drawn_in_the_scale_of_the_picture():
    trail = np.float32([[100, 200], [800, 200]])
    bgr = canvas()
    draw_trails(bgr, [trail], 0.5)
    assert tuple(bgr[100, 225]) == TRAIL_COLOR
    assert not bgr[110:].any() and not bgr[:, 410:].any()
    bgr = canvas()
    draw_tiles(bgr, [Tile(100, 60, 200)], 0.5)
    for corner in ((30, 50), (30, 149), (129, 50), (129, 149)):
        assert tuple(bgr[corner]) == TILE_COLOR
    assert not bgr[31:129, 51:149].any()


@pytest.mark.parametrize('place', [(-500, 120), (5, 5), (960, 720), (9000, 9000)])
def test_faces_at_and_beyond_the_edges_do_no_harm(place):
    bgr = drawn(faces_at(place, 100))
    assert bgr.any() == (0 <= place[0] <= 960)
