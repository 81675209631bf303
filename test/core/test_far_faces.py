"""Faces too small for one pass over a picture, on the real network."""

from dataclasses import replace

import numpy as np
import pytest
from core_support import FRAME_SIZE, assert_same_faces, from_afar, shared_with_the_smaller
from shared import intersection_over_union

from blazeface_ros import FaceDetector, Faces, Frame
from blazeface_ros.core.boxes import iou
from blazeface_ros.core.tiles import as_squares

pytestmark = pytest.mark.network


@pytest.fixture(scope='module')
def far():
    """A detector for faces from 24 pixels on."""
    return FaceDetector(threads=1, smallest_face=24)


@pytest.mark.parametrize(('scale', 'in_whole'), [(0.5, 1), (0.35, 0)])
def test_faces_too_far_for_the_whole_frame_are_found_in_its_tiles(
    detector, far, scene, scale, in_whole
):
    frame = from_afar(scene, scale, 700, 300)
    assert len(detector.detect(frame)) == in_whole
    faces = far.detect(frame)
    near = detector.detect(scene)
    assert len(faces) == len(near) == 5
    assert list(faces.scores) == sorted(faces.scores, reverse=True)
    expected = near.boxes * scale + np.float32([700, 300, 700, 300])
    for box in expected:
        # The network's boxes of one face differ with how large it is shown.
        assert max(intersection_over_union(box, other) for other in faces.boxes) > 0.4


@pytest.mark.parametrize('picture', ['scene', 'astronaut'])
@pytest.mark.parametrize('scale', [0.24, 0.4, 0.6])
@pytest.mark.parametrize('place', [(100, 50), (431, 517)])
def test_a_face_found_at_a_score_threshold_is_found_alike_at_every_lower_one(
    far, request, picture, scale, place
):
    frame = Frame(from_afar(request.getfixturevalue(picture), scale, *place))
    plan = far.plan(*FRAME_SIZE)
    (candidates,) = far.find_candidates([frame], [plan.tiles], 0.25)
    found = Faces.empty()
    for threshold in (0.9, 0.65, 0.5, 0.4, 0.25):
        settings = replace(far.settings, score_threshold=threshold)
        stricter, found = found, far.merge(candidates, plan, settings)
        assert len(found) >= len(stricter)
        np.testing.assert_array_equal(found.scores[: len(stricter)], stricter.scores)
        # These are as good as the same.
        assert (np.diag(iou(found.boxes, stricter.boxes)) > 0.99).all()
        assert (found.scores >= threshold - 1e-6).all()
    assert len(found) >= 1


def test_a_detector_with_a_lower_threshold_finds_the_same_faces_and_more(scene):
    frame = from_afar(scene, 0.4, 431, 517)
    strict, lenient = (
        FaceDetector(threads=1, smallest_face=24, score_threshold=threshold).detect(frame)
        for threshold in (0.9, 0.25)
    )
    assert 1 <= len(strict) < len(lenient)
    assert_same_faces(lenient[: len(strict)], strict)


@pytest.mark.parametrize('scale', [1.0, 0.6, 0.4, 0.3])
@pytest.mark.parametrize('smallest_face', [24, 64])
def test_no_face_comes_twice_from_several_tiles(scene, scale, smallest_face):
    detector = FaceDetector(threads=1, smallest_face=smallest_face)
    boxes = detector.detect(from_afar(scene, scale, 300, 200)).boxes
    assert len(boxes) >= 2
    for i, first in enumerate(boxes):
        assert all(shared_with_the_smaller(first, second) <= 0.5 for second in boxes[:i])


@pytest.mark.parametrize('smallest_face', [24, 40, 80])
def test_large_faces_are_found_once_each_and_where_one_pass_finds_them(
    detector, scene, smallest_face
):
    expected = detector.detect(scene)
    large = expected[expected.boxes[:, 2] - expected.boxes[:, 0] >= 1280 / 14]
    assert len(large) >= 3
    found = FaceDetector(threads=1, smallest_face=smallest_face).detect(scene)
    overlap = iou(large.boxes, found.boxes)
    assert (overlap.max(axis=1) > 0.7).all()
    assert ((overlap > 0.1).sum(axis=1) == 1).all()


def test_a_face_on_the_border_of_tiles_comes_once_and_where_it_is(detector, astronaut):
    far = FaceDetector(threads=1, smallest_face=48)
    near = detector.detect(astronaut).boxes[0]
    scale = 56 / (near[2] - near[0])
    near = near * scale
    finest = [tile for tile in far.plan(*FRAME_SIZE).tiles if tile.size == 48 * 14]
    borders = sorted({x for x0, _, size, _ in finest for x in (x0, x0 + size)} - {0, 1920})
    rows = sorted({y for _, y0, size, _ in finest for y in (y0, y0 + size)} - {0, 1080})
    assert borders and rows
    for border, row in [(x, 500) for x in borders] + [(900, y) for y in rows]:
        x = round(border - (near[0] + near[2]) / 2)
        y = round(row - (near[1] + near[3]) / 2)
        faces = far.detect(from_afar(astronaut, scale, x, y))
        assert len(faces) == 1
        expected = near + np.float32([x, y, x, y])
        assert shared_with_the_smaller(faces.boxes[0], expected) > 0.8
        assert intersection_over_union(faces.boxes[0], expected) > 0.3


def test_a_batch_of_far_faces_equals_single_pictures(far, scene, astronaut):
    pictures = [from_afar(scene, 0.4, 700, 300), astronaut, from_afar(scene, 0.3, 100, 50)]
    for faces, picture in zip(far.detect_batch(pictures), pictures):
        assert_same_faces(faces, far.detect(picture))


def test_only_the_tiles_asked_for_are_searched(far, scene):
    frame = from_afar(scene, 0.35, 700, 300)
    plan = far.plan(*FRAME_SIZE)

    def found_in(tiles):
        (faces,), _ = far.detect_in_tiles([Frame(frame)], [plan], [tiles], far.settings)
        return faces

    assert_same_faces(found_in(plan.tiles), far.detect(frame))
    everywhere = far.detect(frame)
    assert len(everywhere) == 5
    assert found_in([]) == Faces.empty()
    beside = [tile for tile in plan.tiles if tile.x0 >= 1200]
    assert beside
    assert len(found_in(beside)) == 0
    for face in everywhere:
        shown = plan.shows_reliably(face.boxes, as_squares(plan.tiles))
        tiles = [tile for tile, reliably in zip(plan.tiles, shown) if reliably]
        assert iou(face.boxes, found_in(tiles).boxes).max() > 0.4


def test_no_picture_takes_tiles_from_another(far, scene, astronaut):
    frames = [Frame(from_afar(scene, 0.35, 700, 300)), Frame(astronaut), Frame(astronaut)]
    plans = [far.plan(frame.width, frame.height) for frame in frames]
    tiles = [plans[0].tiles, [], plans[2].tiles]
    found, _ = far.detect_in_tiles(frames, plans, tiles, far.settings)
    assert [len(faces) for faces in found] == [5, 0, 1]
    assert_same_faces(found[2], far.detect(astronaut))


@pytest.mark.parametrize('model', ['front', 'full_range', 'full_range_sparse'])
def test_every_network_has_a_plan_of_its_own_and_finds_far_faces(model, scene):
    detector = FaceDetector(model, threads=1, smallest_face=32)
    plan = detector.plan(*FRAME_SIZE)
    assert plan.finest == round(32 / detector.model.smallest_share)
    frame = from_afar(scene, 0.5, 700, 300)
    near, far = FaceDetector(model, threads=1).detect(frame), detector.detect(frame)
    assert len(near) < 5 <= len(far)
