"""Pictures in, faces out, on the real networks."""

import json
from dataclasses import replace

import numpy as np
import pytest
from core_support import assert_same_faces
from shared import ROOT, intersection_over_union

from blazeface_ros import KEYPOINT_NAMES, FaceDetector, Faces, Frame
from blazeface_ros.backends import open_backend
from blazeface_ros.errors import ConfigurationError, ImageError, ModelError

GOLDENS = json.loads((ROOT / 'test' / 'data' / 'mediapipe_astronaut.json').read_text())


@pytest.mark.network
@pytest.mark.parametrize('model', GOLDENS)
def test_every_network_finds_the_astronaut_where_mediapipe_finds_her(model, astronaut):
    faces = FaceDetector(model, threads=1).detect(astronaut)
    (golden,) = GOLDENS[model]
    assert len(faces) == 1
    limit = 0.005 * max(astronaut.shape)
    np.testing.assert_allclose(faces.boxes[0], golden[:4], atol=limit)
    np.testing.assert_allclose(faces.keypoints[0].ravel(), golden[4:16], atol=limit)
    np.testing.assert_allclose(faces.scores[0], golden[16], atol=0.02)


def test_all_faces_of_a_scene_are_found_best_first(detector, scene):
    faces = detector.detect(scene)
    assert len(faces) == 5
    assert list(faces.scores) == sorted(faces.scores, reverse=True)
    assert all(faces.scores >= 0.65)
    assert faces.ids == ('',) * 5
    assert not faces.predicted.any()


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
    before = faces.points.copy()
    detector.detect(scene)
    np.testing.assert_array_equal(faces.points, before)


def test_no_pictures_have_no_results(detector):
    assert detector.detect_batch([]) == []


@pytest.mark.parametrize('shape', [(1, 1), (1, 32766), (32766, 1), (2, 2)])
def test_odd_shapes_have_no_faces_and_do_no_harm(detector, shape):
    assert detector.detect(np.full((*shape, 3), 128, np.uint8)) == Faces.empty()


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


def test_the_faces_of_a_reduced_frame_are_in_pixels_of_the_whole_one(detector, scene):
    halves = scene.reshape(360, 2, 640, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    faces = detector.detect(Frame(halves, reduction=2))
    expected = detector.detect(scene)
    assert len(faces) == 5
    for box in expected.boxes:
        assert max(intersection_over_union(box, other) for other in faces.boxes) > 0.9


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


@pytest.mark.network
def test_settings_may_be_replaced_between_two_pictures(scene):
    detector = FaceDetector(threads=1, score_threshold=0.9)
    assert detector.score_threshold == 0.9
    assert len(detector.detect(scene)) == 2
    detector.settings = replace(detector.settings, score_threshold=0.0)
    assert detector.score_threshold == detector.model.score_threshold == 0.65
    everybody = detector.detect(scene)
    assert len(everybody) == 5
    detector.settings = replace(detector.settings, max_faces=3)
    assert detector.detect(scene) == everybody[:3]


def test_candidates_that_are_merged_later_are_the_same_faces(detector, scene, astronaut):
    frames = [Frame(scene), Frame(astronaut)]
    plans = [detector.plan(frame.width, frame.height) for frame in frames]
    candidates = detector.find_candidates(frames, [plan.tiles for plan in plans], 0.1)
    expected = detector.detect_batch(frames)
    for some, plan, faces in zip(candidates, plans, expected):
        assert len(some.logits) > len(faces)
        assert detector.merge(some, plan, detector.settings) == faces


def test_a_timed_batch_has_the_same_faces_and_names_its_stages(detector, scene, astronaut):
    faces, seconds = detector.detect_batch_timed([scene, astronaut])
    assert faces == detector.detect_batch([scene, astronaut])
    assert list(seconds) == ['sample', 'network', 'merge']


@pytest.mark.parametrize('picture', [None, 'picture.jpg', np.zeros((3, 0, 3), np.uint8)])
def test_what_is_no_picture_is_refused_and_the_next_one_is_searched(detector, astronaut, picture):
    with pytest.raises(ImageError):
        detector.detect_batch([astronaut, picture])
    assert len(detector.detect(astronaut)) == 1


@pytest.mark.parametrize(
    ('name', 'value', 'allowed'),
    [
        ('score_threshold', 1.5, '0.0 to 1.0'),
        ('iou_threshold', float('nan'), '0.0 to 1.0'),
        ('smallest_face', -1, '0 to 4096'),
        ('max_faces', -1, '0 to 1000'),
        ('threads', -1, '0 to 256'),
        ('threads', 257, '0 to 256'),
        ('backend', 'banana', 'onnxruntime'),
        ('device', 'tpu', 'cpu'),
    ],
)
def test_settings_that_cannot_work_are_refused_with_name_value_and_what_is_allowed(
    name, value, allowed
):
    with pytest.raises(ConfigurationError) as refused:
        FaceDetector(**{name: value})
    for told in (name, str(value), allowed):
        assert told in str(refused.value)


def test_a_missing_model_is_named_with_what_there_is():
    with pytest.raises(ModelError) as missing:
        FaceDetector('/nowhere.onnx')
    for told in ('/nowhere.onnx', *GOLDENS):
        assert told in str(missing.value)


def test_a_model_can_be_given_by_its_file_and_a_backend_that_is_open(detector, astronaut):
    file = detector.model_file
    expected = detector.detect(astronaut)
    by_file = FaceDetector(str(file), threads=1)
    assert by_file.model == detector.model
    assert by_file.detect(astronaut) == expected
    backend = open_backend('onnxruntime', None, file, device='auto', threads=1)
    with_backend = FaceDetector(backend=backend)
    assert with_backend.backend is backend
    assert with_backend.detect(astronaut) == expected


@pytest.mark.network
def test_a_detector_can_be_closed_twice():
    detector = FaceDetector(threads=1)
    assert not detector.closed
    detector.close()
    detector.close()
    assert detector.closed
