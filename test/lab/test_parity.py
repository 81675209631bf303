"""How faces of two detectors are compared."""

import numpy as np

from blazeface_ros.core.faces import Faces
from blazeface_ros.lab.parity import compare_faces


def faces_at(*lefts, scores=(0.9, 0.8, 0.7)):
    """Faces 40 pixels wide, with their left sides there."""
    x = np.array(lefts, np.float32).reshape(-1, 1)
    boxes = np.concatenate([x, 0 * x, x + 40, 0 * x + 40], 1)
    keypoints = np.repeat(boxes[:, None, :2], 6, 1)
    return Faces(boxes, keypoints, np.array(scores[: len(lefts)], np.float32))


def test_the_same_faces_in_another_order_are_the_same():
    first = faces_at(0, 100)
    second = faces_at(100, 0, scores=(0.8, 0.9))
    difference = compare_faces([first], [second], 0.5)
    assert difference.counts == (2, 2)
    assert difference.within(0)


def test_distances_count_in_pixels_and_by_the_faces_width():
    difference = compare_faces([faces_at(0, 102)], [faces_at(0, 100)], 0.5)
    assert difference.pixels == 2
    assert np.isclose(difference.share, 0.05)
    assert difference.within(0.06)
    assert not difference.within(0.04)


def test_a_face_that_one_misses_counts_with_what_it_is_above_the_threshold():
    for first, second in ((faces_at(0), faces_at()), (faces_at(), faces_at(0))):
        assert np.isclose(compare_faces([first], [second], 0.65).score, 0.25)
        assert compare_faces([first], [second], 0.89).within(0.02)


def test_a_face_at_another_place_is_another_face():
    difference = compare_faces([faces_at(0)], [faces_at(30)], 0.5)
    assert difference.pixels == 0
    assert np.isclose(difference.score, 0.4)


def test_pictures_without_faces_are_the_same():
    assert compare_faces([Faces.none()], [Faces.none()], 0.5).within(0)
    assert compare_faces([], [], 0.5).within(0)
