"""`Faces`: indexing, comparing, printing, and the way into other forms."""

import json

import numpy as np
import pytest

from blazeface_ros import KEYPOINT_NAMES, Faces


def some_faces(count, first=0, ids=()):
    """Faces that all differ, best score first."""
    numbers = np.arange(first * 16, (first + count) * 16, dtype=np.float32)
    points = numbers.reshape(count, 8, 2)
    return Faces.from_points(points, np.linspace(0.9, 0.5, count), ids)


THREE = some_faces(3, ids=('f0001', 'f0002', 'f0003'))


def test_faces_know_how_many_they_are():
    assert [len(some_faces(count)) for count in (0, 1, 3)] == [0, 1, 3]
    assert not Faces.empty() and THREE


def test_no_faces_are_arrays_of_no_length():
    faces = Faces.empty()
    assert faces.boxes.shape == (0, 4)
    assert faces.keypoints.shape == (0, 6, 2)
    assert faces.scores.shape == faces.predicted.shape == (0,)
    assert faces.boxes.dtype == faces.keypoints.dtype == faces.scores.dtype == np.float32
    assert faces.ids == ()
    assert list(faces) == []


def test_points_are_the_corners_and_then_the_keypoints():
    points = THREE.points
    assert points.shape == (3, 8, 2)
    np.testing.assert_array_equal(points[:, :2].reshape(-1, 4), THREE.boxes)
    np.testing.assert_array_equal(points[:, 2:], THREE.keypoints)
    assert Faces.from_points(points, THREE.scores, THREE.ids) == THREE
    assert Faces.empty().points.shape == (0, 8, 2)


def test_without_ids_all_ids_are_empty_and_nobody_is_predicted():
    faces = some_faces(2)
    assert faces.ids == ('', '')
    assert faces.predicted.tolist() == [False, False]
    assert faces.predicted.dtype == bool


def test_iterating_gives_the_faces_one_by_one():
    assert [face.ids for face in THREE] == [('f0001',), ('f0002',), ('f0003',)]
    for i, face in enumerate(THREE):
        assert len(face) == 1
        assert face == THREE[i]
        np.testing.assert_array_equal(face.boxes[0], THREE.boxes[i])
        np.testing.assert_array_equal(face.keypoints[0], THREE.keypoints[i])


@pytest.mark.parametrize(
    ('index', 'numbers'),
    [
        (0, [0]),
        (-1, [2]),
        (np.int64(1), [1]),
        (slice(1, None), [1, 2]),
        (slice(None, None, -1), [2, 1, 0]),
        (slice(5, 9), []),
        (np.array([True, False, True]), [0, 2]),
        (np.zeros(3, bool), []),
        (np.array([2, 0, -2]), [2, 0, 1]),
        (np.array([], int), []),
        ([1, 1], [1, 1]),
    ],
)
def test_some_faces_are_taken_as_from_an_array(index, numbers):
    predicted = np.array([False, True, True])
    faces = Faces(THREE.boxes, THREE.keypoints, THREE.scores, THREE.ids, predicted)
    taken = faces[index]
    assert taken.ids == tuple(THREE.ids[i] for i in numbers)
    np.testing.assert_array_equal(taken.points, THREE.points[numbers])
    np.testing.assert_array_equal(taken.scores, THREE.scores[numbers])
    np.testing.assert_array_equal(taken.predicted, predicted[numbers])


@pytest.mark.parametrize('index', [3, -4, np.array([0, 3]), np.array([True, False])])
def test_faces_that_are_not_there_are_an_index_error(index):
    with pytest.raises(IndexError):
        THREE[index]


def test_what_is_taken_is_a_copy():
    faces = some_faces(2)
    faces[:1].boxes[:] = 77
    assert not (faces.boxes == 77).any()


def test_equal_faces_are_equal_and_any_difference_shows():
    same = some_faces(3, ids=THREE.ids)
    assert (same == THREE, same != THREE) == (True, False)
    boxes, keypoints, scores = (
        np.array(values) for values in (THREE.boxes, THREE.keypoints, THREE.scores)
    )
    boxes[1, 2] += 1
    keypoints[2, 5, 1] += 1
    scores[0] += 0.01
    nobody = THREE.predicted
    for other in (
        Faces(boxes, THREE.keypoints, THREE.scores, THREE.ids, nobody),
        Faces(THREE.boxes, keypoints, THREE.scores, THREE.ids, nobody),
        Faces(THREE.boxes, THREE.keypoints, scores, THREE.ids, nobody),
        Faces(THREE.boxes, THREE.keypoints, THREE.scores, (), nobody),
        Faces(THREE.boxes, THREE.keypoints, THREE.scores, THREE.ids, ~nobody),
        THREE[:2],
        THREE[::-1],
        Faces.empty(),
    ):
        assert (other == THREE, other != THREE) == (False, True)


@pytest.mark.parametrize('other', [None, 3, 'faces', [], THREE.boxes.tolist(), object()])
def test_faces_are_not_equal_to_anything_else(other):
    for faces in (THREE, Faces.empty()):
        assert (faces == other, faces != other) == (False, True)


def test_no_faces_are_equal_to_no_faces():
    assert Faces.empty() == THREE[:0] == some_faces(0)


def test_faces_cannot_be_hashed_as_their_arrays_can_change():
    with pytest.raises(TypeError, match='unhashable'):
        hash(THREE)


def test_printing_is_short_however_many_faces_there_are():
    assert repr(Faces.empty()) == 'Faces(0)'
    one = Faces.from_points(np.float32([[[10.4, 20]] + [[40, 60]] * 7]), [0.912], ('f0007',))
    assert repr(one) == 'Faces(1: 0.91 at 10,20 30x40 f0007)'
    untracked = Faces.from_points(one.points, one.scores)
    assert repr(untracked) == 'Faces(1: 0.91 at 10,20 30x40)'
    many = repr(some_faces(1000))
    assert many.startswith('Faces(1000: 0.90 at ')
    assert len(many) < 200


def test_the_first_faces_are_the_best_and_zero_is_no_limit():
    assert THREE.limited(2) == THREE[:2]
    for most in (0, 3, 100):
        assert THREE.limited(most) is THREE
    assert Faces.empty().limited(1) == Faces.empty()


def test_scaled_faces_are_in_a_picture_of_another_size():
    half = THREE.scaled(0.5)
    np.testing.assert_array_equal(half.points, THREE.points / 2)
    assert half.points.dtype == np.float32
    np.testing.assert_array_equal(half.scores, THREE.scores)
    assert half.ids == THREE.ids


def test_as_a_dict_faces_survive_json():
    told = json.loads(json.dumps(some_faces(2).to_dict()))
    assert list(told) == ['faces']
    first = told['faces'][0]
    assert first['box'] == [0, 1, 2, 3]
    assert first['score'] == pytest.approx(0.9, abs=1e-5)
    assert list(first['keypoints']) == list(KEYPOINT_NAMES)
    assert first['keypoints']['right_eye'] == [4, 5]
    assert first['keypoints']['left_ear_tragion'] == [14, 15]
    assert len(told['faces']) == 2
    assert json.loads(json.dumps(Faces.empty().to_dict())) == {'faces': []}


def test_as_a_dict_only_tracked_faces_have_an_id_and_are_predicted_or_not():
    predicted = np.array([False, True])
    faces = some_faces(2)
    untracked = faces.to_dict()['faces']
    assert [sorted(face) for face in untracked] == [['box', 'keypoints', 'score']] * 2
    tracked = Faces(faces.boxes, faces.keypoints, faces.scores, ('f0001', 'f0009'), predicted)
    for plain, face, key, guess in zip(
        untracked, tracked.to_dict()['faces'], tracked.ids, predicted.tolist(), strict=True
    ):
        assert face == plain | {'id': key, 'predicted': guess}
        assert face['predicted'] is guess


def test_as_a_dict_numbers_are_as_precise_as_they_are_worth():
    face = Faces.from_points(np.full((1, 8, 2), 100 / 3, np.float32), [2 / 3]).to_dict()['faces'][0]
    assert face['box'] == [33.333] * 4
    assert face['score'] == 0.66667


@pytest.mark.parametrize(
    ('wrong', 'got'),
    [
        ({'boxes': np.zeros((1, 4), np.float32)}, r'\(1, 4\)'),
        ({'boxes': np.zeros((2, 5), np.float32)}, r'\(2, 5\)'),
        ({'keypoints': np.zeros((2, 5, 2), np.float32)}, r'\(2, 5, 2\)'),
        ({'keypoints': np.zeros((2, 12), np.float32)}, r'\(2, 12\)'),
        ({'scores': np.zeros(3, np.float32)}, '3 scores'),
        ({'ids': ('f0001',)}, ' 1 '),
        ({'predicted': np.zeros(3, bool)}, r'\(3,\)'),
    ],
)
def test_arrays_of_other_shapes_are_no_faces_and_are_told(wrong, got):
    right = {
        'boxes': np.zeros((2, 4), np.float32),
        'keypoints': np.zeros((2, 6, 2), np.float32),
        'scores': np.zeros(2, np.float32),
    }
    assert len(Faces(**right)) == 2
    with pytest.raises(ValueError, match=got):
        Faces(**right | wrong)
