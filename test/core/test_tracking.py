"""Ids that stay: walking, crossing, hiding, and people who look alike."""

import itertools

import numpy as np
import pytest
from core_support import SIZE, along, faces_at

from blazeface_ros import Faces
from blazeface_ros.core.tracking import Tracker


def test_ids_count_up_from_one_in_the_order_of_the_faces():
    tracker = Tracker()
    assert tracker.update(faces_at([[100, 100], [300, 100]]), 0).ids == ('f0001', 'f0002')
    later = tracker.update(faces_at([[500, 100], [300, 100], [100, 100]]), 0.1)
    assert later.ids == ('f0003', 'f0002', 'f0001')
    assert not later.predicted.any()


@pytest.mark.parametrize('rate', [5, 10, 30])
@pytest.mark.parametrize('speed', [0, 1.5, 5])
def test_the_id_stays_while_a_face_walks_with_jitter(rate, speed):
    tracker, random = Tracker(), np.random.default_rng(rate)
    for i in range(3 * rate):
        place = along([100, 200], [speed * SIZE, 0], i / rate)
        assert tracker.update(faces_at(place, random=random), i / rate).ids == ('f0001',)


def test_the_id_stays_while_a_face_comes_near():
    tracker, random = Tracker(), np.random.default_rng(0)
    for i in range(30):
        size = 200 / (4 - i / 10)  # from 4 m to 1.1 m at 1 m/s
        assert tracker.update(faces_at([300, 200], size, random), i / 10).ids == ('f0001',)


@pytest.mark.parametrize('rate', [10, 30])
@pytest.mark.parametrize('height', [0.3, 0.8])
def test_two_faces_that_cross_at_different_heights_keep_their_ids(rate, height):
    tracker, random = Tracker(), np.random.default_rng(rate)
    for i in range(2 * rate):
        seconds = i / rate
        right = along([100, 200], [3 * SIZE, 0], seconds)
        left = along([460, 200 + height * SIZE], [-3 * SIZE, 0], seconds)
        found = faces_at([right, left], random=random)
        assert tracker.update(found, seconds).ids == ('f0001', 'f0002')


@pytest.mark.parametrize('rate', [10, 30])
def test_a_face_that_passes_behind_another_keeps_its_id(rate):
    tracker, random = Tracker(), np.random.default_rng(rate)
    hidden = 0
    for i in range(2 * rate):
        near = along([100, 200], [3 * SIZE, 0], i / rate)
        far = along([460, 205], [-3 * SIZE, 0], i / rate)
        if abs(near - far)[0] > 0.8 * SIZE:
            faces = faces_at([far, near], [40, 60], random)
            assert tracker.update(faces, i / rate).ids == ('f0001', 'f0002')
        else:
            tracker.update(faces_at(near, random=random), i / rate)
            hidden += 1
    assert hidden > 1


@pytest.mark.parametrize('rate', [10, 30])
@pytest.mark.parametrize('speed', [0, 4])
def test_a_face_hidden_for_half_a_second_keeps_its_id(rate, speed):
    tracker, random = Tracker(), np.random.default_rng(rate)
    for i in range(2 * rate):
        seconds = i / rate
        if 1 <= seconds < 1.5:
            assert len(tracker.update(Faces.empty(), seconds)) == 0
        else:
            place = along([100, 200], [speed * SIZE, 0], seconds)
            assert tracker.update(faces_at(place, random=random), seconds).ids == ('f0001',)


@pytest.mark.parametrize(('hidden', 'same'), [(0.9, True), (1.1, False)])
def test_a_face_hidden_for_longer_than_lost_after_gets_a_new_id(hidden, same):
    tracker = Tracker(lost_after=1.0)
    for seconds in (0, 0.1):
        tracker.update(faces_at([100, 100]), seconds)
    for seconds in np.arange(0.2, 0.1 + hidden - 0.05, 0.1):
        tracker.update(Faces.empty(), seconds)
    assert tracker.update(faces_at([100, 100]), 0.1 + hidden).ids == ('f0001' if same else 'f0002',)


def test_lost_after_may_be_changed_while_running():
    tracker = Tracker(lost_after=1.0)
    tracker.update(faces_at([100, 100]), 0)
    tracker.lost_after = 10.0
    assert tracker.update(faces_at([100, 100]), 5).ids == ('f0001',)
    tracker.lost_after = 0.1
    assert tracker.update(faces_at([100, 100]), 5.2).ids == ('f0002',)


def test_keypoints_decide_where_boxes_leave_it_open():
    tracker = Tracker()
    looking = np.float32([-0.15 * SIZE, 0.15 * SIZE]).reshape(2, 1, 1) * np.float32([1, 0])
    faces = faces_at([[100, 100], [110, 100]])
    tracker.update(Faces(faces.boxes, faces.keypoints + looking, faces.scores), 0)
    faces = faces_at([[105, 100], [105, 100]])
    faces = Faces(faces.boxes, faces.keypoints + looking[::-1], faces.scores)
    assert tracker.update(faces, 0.1).ids == ('f0002', 'f0001')


def test_boxes_decide_where_keypoints_leave_it_open():
    tracker = Tracker()
    near, far = faces_at([100, 100], 80), faces_at([100, 100], 50)
    keypoints = np.concatenate([far.keypoints, far.keypoints])
    scores = np.float32([0.9, 0.8])
    tracker.update(Faces(np.concatenate([near.boxes, far.boxes]), keypoints, scores), 0)
    faces = Faces(np.concatenate([far.boxes, near.boxes]), keypoints, scores)
    assert tracker.update(faces, 0.1).ids == ('f0002', 'f0001')


def test_a_face_across_the_picture_never_inherits_an_id():
    tracker = Tracker()
    for seconds in (0, 0.1):
        tracker.update(faces_at([100, 100]), seconds)
    assert tracker.update(faces_at([100 + 2 * SIZE, 100]), 0.2).ids == ('f0002',)


def test_a_face_of_quite_another_size_never_inherits_an_id():
    tracker = Tracker()
    for seconds in (0, 0.1):
        tracker.update(faces_at([100, 100]), seconds)
    assert tracker.update(faces_at([100, 100], SIZE * 2.5), 0.2).ids == ('f0002',)


@pytest.mark.parametrize('later', [-0.1, -1e9, 1.1, 1e9])
def test_when_time_jumps_all_faces_are_new_and_no_id_is_used_again(later):
    tracker = Tracker(lost_after=1.0)
    places = [[100, 100], [300, 100]]
    for seconds in (9.9, 10):
        assert tracker.update(faces_at(places), seconds).ids == ('f0001', 'f0002')
    assert len(tracker.expected(10 + later)) == 0
    assert tracker.update(faces_at(places), 10 + later).ids == ('f0003', 'f0004')
    assert set(tracker.trails()) == {'f0003', 'f0004'}


@pytest.mark.parametrize('smooth', [False, True])
def test_equal_and_nearly_equal_time_stamps_do_no_harm(smooth):
    tracker, random = Tracker(smooth=smooth), np.random.default_rng(0)
    for seconds in (0, 0, 1e-9, 1e-6, 1e-3, 1e-3):
        assert tracker.update(faces_at([100, 100], random=random), seconds).ids == ('f0001',)
    # The jitter, divided by these times, would be a great speed.
    np.testing.assert_allclose(tracker.expected(0.5)[0], [70, 70, 130, 130], atol=0.6 * SIZE)


def half_hidden(place, seen):
    """A face of which a share is seen on its left: the box ends there, and the points crowd."""
    faces = faces_at(place)
    left = faces.boxes[0, 0]
    boxes, keypoints = faces.boxes.copy(), faces.keypoints.copy()
    boxes[:, 2] = left + (boxes[:, 2] - left) * seen
    keypoints[..., 0] = left + (keypoints[..., 0] - left) * seen
    return Faces(boxes, keypoints, faces.scores)


@pytest.mark.parametrize('speed', [2, 3.5])
@pytest.mark.parametrize('shares', [(0.8, 0.55), (0.85, 0.7, 0.5)])
def test_a_face_half_hidden_before_it_is_gone_for_half_a_second_keeps_its_id(speed, shares):
    tracker = Tracker()
    for i in range(25):
        place = along([100, 200], [speed * SIZE, 0], i / 10)
        if i < 10:
            faces = faces_at(place)
        elif i < 10 + len(shares):
            faces = half_hidden(place, shares[i - 10])
        elif i < 15 + len(shares):
            faces = Faces.empty()
        else:
            faces = faces_at(place)
        assert tracker.update(faces, i / 10).ids == ('f0001',) * len(faces)


def ids_changed_by_walkers(seed, count=30, rate=15, picture=(1920, 1080)):
    """How often a person's id changes in ten seconds in which each hides about three times."""
    random = np.random.default_rng(seed)
    size = random.uniform(30, 80, count)
    place = random.uniform(0, 1, (count, 2)) * picture
    velocity = random.normal(0, 1, (count, 2)) * [2, 0.3] * size[:, None]
    hidden_until = np.zeros(count)
    tracker, latest, changes = Tracker(), {}, 0
    for i in range(10 * rate):
        seconds = i / rate
        velocity += random.normal(0, 0.3, (count, 2)) * size[:, None] / np.sqrt(rate)
        place = place + velocity / rate
        velocity[(place < 0) | (place > picture)] *= -1
        place = np.clip(place, 0, picture)
        # None at the start: who is missed on the second frame is taken for a false positive.
        starts = (random.uniform(size=count) < 0.3 / rate) & (seconds > 0.5)
        hidden_until[starts] = seconds + random.uniform(0.05, 0.5, starts.sum())
        visible = random.permutation(np.flatnonzero(hidden_until <= seconds))
        ids = tracker.update(faces_at(place[visible], size[visible], random), seconds).ids
        for person, key in zip(visible, ids):
            changes += latest.get(person, key) != key
            latest[person] = key
    return changes


def test_walkers_with_random_misses_change_ids_at_most_once_in_ten_persons():
    runs = 5
    assert sum(ids_changed_by_walkers(seed) for seed in range(runs)) <= runs * 30 / 10


@pytest.mark.parametrize('count', [0, 1, 200])
def test_any_number_of_faces_will_do(count):
    tracker = Tracker()
    places = np.stack([np.arange(count) * 100, np.full(count, 50)], axis=1)
    for seconds in (0, 0.1):
        result = tracker.update(faces_at(places), seconds)
        assert result.ids == tuple(f'f{1 + i:04}' for i in range(count))


def test_trackers_that_share_their_numbers_never_give_the_same_id():
    numbers = itertools.count(1)
    first, second = Tracker(numbers=numbers), Tracker(numbers=numbers)
    assert first.update(faces_at([100, 100]), 0).ids == ('f0001',)
    assert second.update(faces_at([[100, 100], [300, 100]]), 0).ids == ('f0002', 'f0003')
    assert first.update(faces_at([[100, 100], [300, 100]]), 0.1).ids == ('f0001', 'f0004')


def test_ids_go_on_beyond_four_digits():
    tracker = Tracker(numbers=itertools.count(9999))
    assert tracker.update(faces_at([[100, 100], [300, 100]]), 0).ids == ('f9999', 'f10000')
