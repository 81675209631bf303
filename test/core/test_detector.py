"""Frames in, faces out, on the real network."""

import json
import threading
import time

import cv2
import numpy as np
import pytest
from conftest import ROOT, intersection_over_union

from blazeface_ros import KEYPOINT_NAMES, FaceDetector, Faces, Frame
from blazeface_ros.core.tiles import Window
from blazeface_ros.errors import BackendError, ConfigurationError, ImageError, ModelError

GOLDENS = json.loads((ROOT / 'test' / 'data' / 'mediapipe_astronaut.json').read_text())


def assert_same_faces(first, second, pixels=0.01, score=1e-4):
    assert len(first) == len(second)
    np.testing.assert_allclose(first.boxes, second.boxes, atol=pixels)
    np.testing.assert_allclose(first.keypoints, second.keypoints, atol=pixels)
    np.testing.assert_allclose(first.scores, second.scores, atol=score)


def assert_as_mediapipe(detector, astronaut):
    faces = detector.detect(astronaut)
    (golden,) = GOLDENS[detector.model.name]
    assert len(faces) == 1
    limit = 0.005 * max(astronaut.shape)
    np.testing.assert_allclose(faces.boxes[0], golden[:4], atol=limit)
    np.testing.assert_allclose(faces.keypoints[0].ravel(), golden[4:16], atol=limit)
    np.testing.assert_allclose(faces.scores[0], golden[16], atol=0.02)


def test_the_astronaut_is_found_where_mediapipe_finds_her(detector, astronaut):
    assert_as_mediapipe(detector, astronaut)


@pytest.mark.parametrize('model', GOLDENS)
def test_every_network_finds_her_where_mediapipe_does(model, astronaut):
    assert_as_mediapipe(FaceDetector(model, threads=1), astronaut)


def test_all_faces_of_a_scene_are_found_best_first(detector, scene):
    faces = detector.detect(scene)
    assert len(faces) == 5
    assert list(faces.scores) == sorted(faces.scores, reverse=True)
    assert all(faces.scores >= 0.65)


def test_keypoints_stand_where_their_names_say(detector, astronaut):
    faces = detector.detect(astronaut)
    point = dict(zip(KEYPOINT_NAMES, faces.keypoints[0]))
    # The subject's right is on the left of the picture.
    assert point['right_ear_tragion'][0] < point['right_eye'][0] < point['nose_tip'][0]
    assert point['nose_tip'][0] < point['left_eye'][0] < point['left_ear_tragion'][0]
    assert point['right_eye'][1] < point['nose_tip'][1] < point['mouth_center'][1]


def test_a_batch_of_different_sizes_equals_single_pictures(detector, astronaut, scene):
    pictures = [astronaut, scene, np.zeros((48, 64, 3), np.uint8), scene[:, ::-1], astronaut]
    batch = detector.detect_batch(pictures)
    assert [len(faces) for faces in batch] == [1, 5, 0, 5, 1]
    for faces, picture in zip(batch, pictures):
        assert_same_faces(faces, detector.detect(picture))


def test_results_do_not_change_when_the_next_picture_comes(detector, astronaut, scene):
    faces = detector.detect(astronaut)
    before = faces.boxes.copy()
    detector.detect(scene)
    np.testing.assert_array_equal(faces.boxes, before)


def test_a_long_search_can_be_cancelled_from_another_thread():
    detector = FaceDetector(smallest_face=16, threads=1)
    ended = []

    def search():
        with pytest.raises(BackendError, match='the search was cancelled'):
            detector.detect(np.zeros((2160, 3840, 3), np.uint8))
        ended.append(True)

    thread = threading.Thread(target=search)
    thread.start()
    while not detector.slowest:
        time.sleep(0.01)
    detector.cancelled = True
    thread.join(10)
    assert ended
    assert detector.network_since is None


def test_no_pictures_and_no_windows_give_no_results(detector, scene):
    assert detector.detect_batch([]) == []
    assert [len(faces) for faces in detector.detect_batch([scene], [])] == [0]


@pytest.mark.parametrize('shape', [(1, 1), (1, 32766), (32766, 1), (2, 2)])
def test_odd_shapes_have_no_faces_and_do_no_harm(detector, shape):
    faces = detector.detect(np.full((*shape, 3), 128, np.uint8))
    assert len(faces) == 0
    assert faces.boxes.shape == (0, 4)
    assert faces.keypoints.shape == (0, 6, 2)


def test_every_layout_of_the_same_picture_has_the_same_faces(detector, scene):
    expected = detector.detect(scene)
    alpha = np.full((*scene.shape[:2], 1), 9, np.uint8)
    for channels, pixels in {
        'rgb': scene[..., ::-1],
        'bgra': np.concatenate([scene, alpha], axis=2),
        'rgba': np.concatenate([scene[..., ::-1], alpha], axis=2),
    }.items():
        frame = Frame(np.ascontiguousarray(pixels), channels)
        assert_same_faces(detector.detect(frame), expected)


def test_the_picture_is_not_altered(detector, scene):
    before = scene.copy()
    detector.detect(scene)
    np.testing.assert_array_equal(scene, before)


def test_faces_at_the_border_are_not_clipped(detector, astronaut):
    cut = astronaut[:, 200:]  # through her right ear
    faces = detector.detect(cut)
    assert len(faces) == 1
    whole = detector.detect(astronaut)
    moved = whole.boxes[0] - [200, 0, 200, 0]
    assert moved[0] < 0
    assert intersection_over_union(faces.boxes[0], moved) > 0.6


def test_the_score_threshold_decides_what_is_a_face(scene):
    detector = FaceDetector(threads=1, score_threshold=0.9)
    assert len(detector.detect(scene)) == 2
    detector.set_thresholds(0.0, 0.3)
    assert len(detector.detect(scene)) == 5


def test_a_picture_that_is_none_costs_only_itself(detector, astronaut):
    with pytest.raises(ImageError):
        detector.detect(np.zeros((3, 0, 3), np.uint8))
    assert len(detector.detect(astronaut)) == 1


# Far faces


@pytest.fixture(scope='module')
def far():
    """A detector for faces from 24 pixels on."""
    return FaceDetector(threads=1, smallest_face=24)


def from_afar(picture, scale, x=700, y=300):
    """A frame, uint8 [1080, 1920, 3], with a picture reduced in it."""
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame = np.full((1080, 1920, 3), 120, np.uint8)
    frame[y : y + small.shape[0], x : x + small.shape[1]] = small
    return frame


def shared_with_the_smaller(first, second):
    """Which share of the smaller of two boxes lies in the larger."""
    width, height = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    area = min(np.prod(box[2:] - box[:2]) for box in (first, second))
    return max(width, 0) * max(height, 0) / area


@pytest.mark.parametrize(('scale', 'in_whole'), [(0.5, 1), (0.35, 0)])
def test_faces_too_far_for_the_whole_frame_are_found_in_its_windows(
    detector, far, scene, scale, in_whole
):
    frame = from_afar(scene, scale)
    assert len(detector.detect(frame)) == in_whole
    faces = far.detect(frame)
    near = detector.detect(scene)
    assert len(faces) == len(near) == 5
    assert list(faces.scores) == sorted(faces.scores, reverse=True)
    expected = near.boxes * scale + np.float32([700, 300, 700, 300])
    for box in expected:
        # The network's boxes of one face differ with how large it is shown.
        assert max(intersection_over_union(box, other) for other in faces.boxes) > 0.4


@pytest.mark.parametrize('scale', [1.0, 0.6, 0.4, 0.3])
@pytest.mark.parametrize('smallest_face', [16, 24, 40, 64])
def test_no_face_comes_twice_from_several_windows(scene, scale, smallest_face):
    detector = FaceDetector(threads=1, smallest_face=smallest_face)
    boxes = detector.detect(from_afar(scene, scale, 300, 200)).boxes
    assert len(boxes) >= 2
    for i, first in enumerate(boxes):
        assert all(shared_with_the_smaller(first, second) <= 0.5 for second in boxes[:i])


@pytest.mark.parametrize('smallest_face', [16, 40, 80])
def test_faces_that_the_whole_frame_shows_well_stay_bit_for_bit(detector, scene, smallest_face):
    expected = detector.detect(scene)
    large = expected.boxes[:, 2] - expected.boxes[:, 0] >= 1280 / 14
    assert large.sum() >= 3
    found = FaceDetector(threads=1, smallest_face=smallest_face).detect(scene)
    for field in ('boxes', 'keypoints', 'scores'):
        before = [values.tobytes() for values in getattr(expected, field)[large]]
        assert set(before) <= {values.tobytes() for values in getattr(found, field)}


def test_a_face_on_the_border_of_windows_comes_once_and_where_it_is(detector, astronaut):
    far = FaceDetector(threads=1, smallest_face=48)
    near = detector.detect(astronaut).boxes[0]
    scale = 56 / (near[2] - near[0])
    near = near * scale
    finest = [window for window in far.plan(1920, 1080).windows if window[2] == 672]
    borders = sorted({x for x0, _, size in finest for x in (x0, x0 + size)} - {0, 1920})
    rows = sorted({y for _, y0, size in finest for y in (y0, y0 + size)} - {0, 1080})
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
    pictures = [from_afar(scene, 0.4), astronaut, from_afar(scene, 0.3, 100, 50)]
    for faces, picture in zip(far.detect_batch(pictures), pictures):
        assert_same_faces(faces, far.detect(picture))


def test_only_the_windows_asked_for_are_looked_at(far, scene):
    frame = from_afar(scene, 0.35)
    windows = [Window(0, *square) for square in far.plan(1920, 1080).windows]
    (everything,) = far.detect_batch([frame], windows)
    assert_same_faces(everything, far.detect(frame))
    beside = [window for window in windows if window.x0 >= 1200]
    assert beside
    assert len(far.detect_batch([frame], beside)[0]) == 0
    around = [window for window in windows if window not in beside]
    assert len(far.detect_batch([frame], around)[0]) == 5


@pytest.mark.parametrize(
    ('setting', 'sentence'),
    [
        ({'score_threshold': 1.5}, 'score_threshold is 1.5; it must be between 0 and 1'),
        ({'iou_threshold': float('nan')}, 'iou_threshold is nan; it must be between 0 and 1'),
        ({'smallest_face': -1}, r'smallest_face is -1; it must be 0 or more'),
        ({'threads': -1}, r'threads is -1; it must be 0 or more'),
        ({'backend': 'banana'}, "backend 'banana' is unknown; there are: onnxruntime"),
        ({'device': 'tpu'}, "device 'tpu' is unknown to backend 'onnxruntime'"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_name_value_and_remedy(setting, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        FaceDetector(**setting)


def test_a_missing_model_is_named_with_what_there_is():
    with pytest.raises(ModelError, match=r"model '/nowhere.onnx' is neither a known name \(back, "):
        FaceDetector('/nowhere.onnx')


def test_closing_twice_is_harmless():
    detector = FaceDetector(threads=1)
    detector.close()
    detector.close()


def test_parallel_arrays_of_unequal_length_are_no_faces():
    with pytest.raises(ValueError, match=r'2 scores need boxes \[2, 4\]'):
        Faces(np.zeros((1, 4)), np.zeros((2, 6, 2)), np.zeros(2))
