"""Ids that stay: walking, crossing, hiding, leaving, and what is not looked for."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blazeface_ros.core.faces import Faces
from blazeface_ros.core.tracking import TRAIL_LENGTH, Tracker

SIZE = 60.0
#: The box's corners and the keypoints of a face of size 1 around the origin.
FACE = np.array(
    [
        [-0.5, -0.5], [0.5, 0.5],
        [-0.2, -0.15], [0.2, -0.15], [0.0, 0.05], [0.0, 0.25], [-0.4, -0.1], [0.4, -0.1],
    ]
)  # fmt: skip


def parts(boxes, smallest=0.0):
    """Parts of a frame that were looked at, and from which width on each shows faces."""
    boxes = np.float32(boxes).reshape(-1, 4)
    return boxes, np.broadcast_to(np.float32(smallest), len(boxes))


EVERYWHERE = parts([-1e4, -1e4, 1e4, 1e4])
NOWHERE = parts([])


def faces_at(centres, size=SIZE, random=None, jitter=0.02):
    """Faces around centres [N, 2], detected exactly or, with a generator, with jitter."""
    centres = np.reshape(centres, (-1, 1, 2))
    size = np.broadcast_to(size, len(centres)).reshape(-1, 1, 1)
    points = centres + size * FACE
    if random is not None:
        points = points + random.normal(0, jitter, points.shape) * size
    points = points.astype(np.float32)
    scores = np.linspace(0.9, 0.8, len(centres), dtype=np.float32)
    return Faces(points[:, :2].reshape(-1, 4), points[:, 2:], scores)


def centres_of(faces):
    return (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2


def along(start, velocity, seconds):
    return np.add(start, np.multiply(velocity, seconds))


def test_ids_count_up_from_one_in_the_order_of_the_faces():
    tracker = Tracker()
    assert tracker.update(faces_at([[100, 100], [300, 100]]), 0).ids == ('1', '2')
    assert tracker.update(faces_at([[500, 100], [300, 100], [100, 100]]), 0.1).ids == (
        '3',
        '2',
        '1',
    )


@pytest.mark.parametrize('rate', [5, 10, 30])
@pytest.mark.parametrize('speed', [0, 1.5, 5])
def test_the_id_stays_while_a_face_walks_with_jitter(rate, speed):
    tracker, random = Tracker(), np.random.default_rng(rate)
    for i in range(3 * rate):
        place = along([100, 200], [speed * SIZE, 0], i / rate)
        assert tracker.update(faces_at(place, random=random), i / rate).ids == ('1',)


def test_the_id_stays_while_a_face_comes_near():
    tracker, random = Tracker(), np.random.default_rng(0)
    for i in range(30):
        size = 200 / (4 - i / 10)  # from 4 m to 1.1 m at 1 m/s
        assert tracker.update(faces_at([300, 200], size, random), i / 10).ids == ('1',)


@pytest.mark.parametrize('rate', [10, 30])
@pytest.mark.parametrize('height', [0.3, 0.8])
def test_two_faces_that_cross_at_different_heights_keep_their_ids(rate, height):
    tracker, random = Tracker(), np.random.default_rng(rate)
    for i in range(2 * rate):
        seconds = i / rate
        right = along([100, 200], [3 * SIZE, 0], seconds)
        left = along([460, 200 + height * SIZE], [-3 * SIZE, 0], seconds)
        assert tracker.update(faces_at([right, left], random=random), seconds).ids == ('1', '2')


@pytest.mark.parametrize('rate', [10, 30])
def test_a_face_that_passes_behind_another_keeps_its_id(rate):
    tracker, random = Tracker(), np.random.default_rng(rate)
    hidden = 0
    for i in range(2 * rate):
        near = along([100, 200], [3 * SIZE, 0], i / rate)
        far = along([460, 205], [-3 * SIZE, 0], i / rate)
        if abs(near - far)[0] > 0.8 * SIZE:
            faces = faces_at([far, near], [40, 60], random)
            assert tracker.update(faces, i / rate).ids == ('1', '2')
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
            assert len(tracker.update(Faces.none(), seconds)) == 0
        else:
            place = along([100, 200], [speed * SIZE, 0], seconds)
            assert tracker.update(faces_at(place, random=random), seconds).ids == ('1',)


@pytest.mark.parametrize(('hidden', 'same'), [(0.9, True), (1.1, False)])
def test_a_face_hidden_for_longer_than_lost_after_gets_a_new_id(hidden, same):
    tracker = Tracker(lost_after=1.0)
    for seconds in (0, 0.1):
        tracker.update(faces_at([100, 100]), seconds)
    for seconds in np.arange(0.2, 0.1 + hidden - 0.05, 0.1):
        tracker.update(Faces.none(), seconds)
    assert tracker.update(faces_at([100, 100]), 0.1 + hidden).ids == ('1' if same else '2',)


def test_lost_after_may_be_changed_while_running():
    tracker = Tracker(lost_after=1.0)
    tracker.update(faces_at([100, 100]), 0)
    tracker.lost_after = 10.0
    assert tracker.update(faces_at([100, 100]), 5).ids == ('1',)
    tracker.lost_after = 0.1
    assert tracker.update(faces_at([100, 100]), 5.2).ids == ('2',)


def test_keypoints_decide_where_boxes_leave_it_open():
    tracker = Tracker()
    looking = np.float32([-0.15 * SIZE, 0.15 * SIZE]).reshape(2, 1, 1) * np.float32([1, 0])
    faces = faces_at([[100, 100], [110, 100]])
    tracker.update(Faces(faces.boxes, faces.keypoints + looking, faces.scores), 0)
    faces = faces_at([[105, 100], [105, 100]])
    faces = Faces(faces.boxes, faces.keypoints + looking[::-1], faces.scores)
    assert tracker.update(faces, 0.1).ids == ('2', '1')


def test_boxes_decide_where_keypoints_leave_it_open():
    tracker = Tracker()
    near, far = faces_at([100, 100], 80), faces_at([100, 100], 50)
    keypoints = np.concatenate([far.keypoints, far.keypoints])
    scores = np.float32([0.9, 0.8])
    tracker.update(Faces(np.concatenate([near.boxes, far.boxes]), keypoints, scores), 0)
    faces = Faces(np.concatenate([far.boxes, near.boxes]), keypoints, scores)
    assert tracker.update(faces, 0.1).ids == ('2', '1')


def test_a_face_across_the_picture_never_inherits_an_id():
    tracker = Tracker()
    for seconds in (0, 0.1):
        tracker.update(faces_at([100, 100]), seconds)
    assert tracker.update(faces_at([100 + 2 * SIZE, 100]), 0.2).ids == ('2',)


def test_a_face_of_quite_another_size_never_inherits_an_id():
    tracker = Tracker()
    for seconds in (0, 0.1):
        tracker.update(faces_at([100, 100]), seconds)
    assert tracker.update(faces_at([100, 100], SIZE * 2.5), 0.2).ids == ('2',)


@pytest.mark.parametrize('later', [-0.1, -1e9, 1.1, 1e9])
def test_when_time_jumps_all_faces_are_new_and_no_id_is_used_again(later):
    tracker = Tracker(lost_after=1.0)
    places = [[100, 100], [300, 100]]
    for seconds in (9.9, 10):
        assert tracker.update(faces_at(places), seconds).ids == ('1', '2')
    assert len(tracker.expected(10 + later)) == 0
    assert tracker.update(faces_at(places), 10 + later).ids == ('3', '4')
    assert set(tracker.trails()) == {'3', '4'}


@pytest.mark.parametrize('smooth', [False, True])
def test_equal_and_nearly_equal_time_stamps_do_no_harm(smooth):
    tracker, random = Tracker(smooth=smooth), np.random.default_rng(0)
    for seconds in (0, 0, 1e-9, 1e-6, 1e-3, 1e-3):
        assert tracker.update(faces_at([100, 100], random=random), seconds).ids == ('1',)
    # The jitter, divided by these times, would be a great speed.
    np.testing.assert_allclose(tracker.expected(0.5)[0], [70, 70, 130, 130], atol=0.6 * SIZE)


def test_what_is_seen_once_and_then_missed_is_gone_and_its_id_burnt():
    tracker = Tracker()
    tracker.update(faces_at([100, 100]), 0)
    assert len(tracker.update(Faces.none(), 0.1)) == 0
    assert len(tracker.expected(0.1)) == 0
    assert tracker.update(faces_at([100, 100]), 0.2).ids == ('2',)


def test_a_face_that_was_not_looked_for_is_carried_along_to_where_it_should_be():
    tracker = Tracker()
    for i in range(10):
        tracker.update(faces_at(along([100, 100], [120, 30], i / 10)), i / 10)
    for seconds in (1.0, 1.5):
        carried = tracker.update(Faces.none(), seconds, NOWHERE)
        assert carried.ids == ('1',)
        expected = faces_at(along([100, 100], [120, 30], seconds))
        np.testing.assert_allclose(carried.boxes, expected.boxes, atol=0.03 * SIZE)
        np.testing.assert_allclose(carried.keypoints, expected.keypoints, atol=0.03 * SIZE)
        np.testing.assert_array_equal(carried.scores, np.float32([0.9]))
        np.testing.assert_array_equal(tracker.expected(seconds), carried.boxes)


def test_the_speed_of_a_face_is_known_from_its_second_frame_on():
    tracker = Tracker()
    for i in range(2):
        tracker.update(faces_at(along([100, 100], [4 * SIZE, 0], i / 30)), i / 30)
    carried = tracker.update(Faces.none(), 0.2, NOWHERE)
    expected = along([100, 100], [4 * SIZE, 0], 0.2)
    # Taken over by 85 %: it might be jitter.
    np.testing.assert_allclose(centres_of(carried)[0], expected, atol=0.12 * SIZE)


def test_a_carried_face_grows_as_it_comes_nearer():
    tracker = Tracker()
    for i in range(10):
        tracker.update(faces_at([200, 200], 60 + 4 * i), i / 10)
    carried = tracker.update(Faces.none(), 1.2, NOWHERE)
    expected = faces_at([200, 200], 108)
    np.testing.assert_allclose(carried.boxes, expected.boxes, atol=2)
    np.testing.assert_allclose(carried.keypoints, expected.keypoints, atol=2)


@pytest.mark.parametrize(('change', 'limit'), [(1.1, 1.25), (1 / 1.1, 0.8)])
def test_a_carried_face_grows_or_shrinks_by_a_quarter_at_most(change, limit):
    tracker = Tracker(lost_after=2.0)
    sizes = 200 * change ** np.arange(8)
    for i, size in enumerate(sizes):
        tracker.update(faces_at([300, 300], size), i / 10)
    for seconds in (1.2, 1.7, 2.6):
        x0, y0, x1, y1 = tracker.update(Faces.none(), seconds, NOWHERE).boxes[0]
        # It would be twice or half as large in 0.7 s.
        np.testing.assert_allclose((x1 - x0) / sizes[-1], limit, rtol=0.02)
        np.testing.assert_array_equal(tracker.expected(seconds)[0], [x0, y0, x1, y1])


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
            faces = Faces.none()
        else:
            faces = faces_at(place)
        assert tracker.update(faces, i / 10).ids == ('1',) * len(faces)


def test_a_face_is_carried_for_lost_after_since_it_was_seen_and_no_longer():
    tracker = Tracker(lost_after=1.0)
    tracker.update(faces_at([100, 100]), 0)
    assert tracker.update(Faces.none(), 0.5, NOWHERE).ids == ('1',)
    assert tracker.update(Faces.none(), 1.0, NOWHERE).ids == ('1',)
    assert tracker.update(Faces.none(), 1.01, NOWHERE).ids == ()


def test_only_a_face_fully_inside_one_part_looked_at_counts_as_missed():
    box = faces_at([100, 100]).boxes[0]  # 70 to 130
    halves = np.float32([[0, 0, 100, 200], [100, 0, 200, 200]])
    for looked_at, missed in (
        (parts(box + np.float32([-1, -1, 1, 1])), True),
        (EVERYWHERE, True),
        (None, True),
        (parts(halves), False),
        (parts([*halves, EVERYWHERE[0][0]]), True),
        (parts([71, 0, 200, 200]), False),
        (parts([0, 0, 200, 129]), False),
    ):
        tracker = Tracker()
        for seconds in (0, 0.1):
            tracker.update(faces_at([100, 100]), seconds)
        assert len(tracker.update(Faces.none(), 0.2, looked_at)) == (0 if missed else 1)


@pytest.mark.parametrize(
    ('smallest', 'missed'),
    [([59], True), ([61], False), ([61, 59], True), ([59, 61], True), ([61, 61], False)],
)
def test_a_face_is_missed_only_where_faces_of_its_width_are_shown(smallest, missed):
    tracker = Tracker()
    for seconds in (0, 0.1):
        tracker.update(faces_at([100, 100]), seconds)  # 60 pixels wide
    looked_at = parts(np.tile(EVERYWHERE[0], (len(smallest), 1)), smallest)
    assert len(tracker.update(Faces.none(), 0.2, looked_at)) == (0 if missed else 1)


def test_a_face_too_small_for_one_part_and_outside_the_other_is_not_missed():
    tracker = Tracker()
    for seconds in (0, 0.1):
        tracker.update(faces_at([100, 100]), seconds)
    looked_at = parts([[-1e4, -1e4, 1e4, 1e4], [71, 0, 200, 200]], [61, 59])
    assert tracker.update(Faces.none(), 0.2, looked_at).ids == ('1',)


def test_a_missed_face_is_left_out_until_it_is_seen_again():
    tracker = Tracker()
    for seconds in (0, 0.1):
        tracker.update(faces_at([100, 100]), seconds)
    assert len(tracker.update(Faces.none(), 0.2, EVERYWHERE)) == 0
    assert len(tracker.update(Faces.none(), 0.3, NOWHERE)) == 0
    assert tracker.update(faces_at([100, 100]), 0.4).ids == ('1',)
    assert tracker.update(Faces.none(), 0.5, NOWHERE).ids == ('1',)


def test_carried_faces_come_after_those_found():
    tracker = Tracker()
    tracker.update(faces_at([[100, 100], [300, 100]]), 0)
    looked_at = parts([200, 0, 600, 200])
    result = tracker.update(faces_at([[500, 100], [300, 100]]), 0.1, looked_at)
    assert result.ids == ('3', '2', '1')
    np.testing.assert_array_equal(result.boxes[2], faces_at([100, 100]).boxes[0])


def test_expected_puts_faces_seen_once_first_and_then_those_not_seen_for_longest():
    tracker = Tracker()
    tracker.update(faces_at([[100, 100], [300, 100]]), 0)
    tracker.update(faces_at([[300, 100], [100, 100]]), 0.1)
    tracker.update(faces_at([[500, 100], [100, 100]]), 0.2, NOWHERE)
    boxes = tracker.expected(0.3)
    assert boxes.dtype == np.float32
    np.testing.assert_allclose(boxes[:, 0] + SIZE / 2, [500, 300, 100], atol=1e-3)
    assert len(tracker.expected(1.15)) == 2


def test_trails_are_the_latest_centres_of_live_faces():
    tracker = Tracker()
    places = [along([100, 100], [100, 0], i / 30) for i in range(40)]
    for i, place in enumerate(places):
        tracker.update(faces_at([place, [900, 100]] if i < 15 else place), i / 30)
    trails = tracker.trails()
    np.testing.assert_allclose(trails['1'], places[-TRAIL_LENGTH:], rtol=1e-5)
    assert len(trails['2']) == 15
    tracker.update(faces_at(places[-1]), 1.6)
    assert set(tracker.trails()) == {'1'}


def test_without_smoothing_the_numbers_come_out_bit_for_bit():
    tracker, random = Tracker(), np.random.default_rng(0)
    for i in range(10):
        faces = faces_at(random.uniform(0, 1000, (20, 2)), random.uniform(1, 300, 20), random)
        result = tracker.update(faces, i / 30)
        for name in ('boxes', 'keypoints', 'scores'):
            given_, got = getattr(faces, name), getattr(result, name)[: len(faces)]
            assert got.dtype == np.float32
            np.testing.assert_array_equal(got.view(np.uint32), given_.view(np.uint32))


@pytest.mark.parametrize('size', [20.0, 400.0])
@pytest.mark.parametrize(('rate', 'left'), [(30, 0.5), (5, 0.8), (2, 0.95)])
def test_smoothing_takes_jitter_off_a_still_face_half_of_it_at_30_hz(size, rate, left):
    random = np.random.default_rng(0)
    frames = [faces_at([500, 500], size, random) for _ in range(300)]
    tracker = Tracker(smooth=True)
    smoothed = [tracker.update(faces, i / rate) for i, faces in enumerate(frames)]
    for name in ('boxes', 'keypoints'):
        before, after = (
            np.std([getattr(faces, name) for faces in some[30:]], axis=0).max()
            for some in (frames, smoothed)
        )
        assert after < left * before


@pytest.mark.parametrize('size', [20.0, 400.0])
@pytest.mark.parametrize('speed', [1, 5])
def test_smoothing_lags_a_moving_face_by_less_than_a_sixth_of_its_size(size, speed):
    tracker = Tracker(smooth=True)
    lags = []
    for i in range(90):
        place = along([0, 0], [speed * size, 0], i / 30)
        lags.append(abs(centres_of(tracker.update(faces_at(place, size), i / 30))[0] - place).max())
    assert 0 < max(lags) < size / 6


def test_smoothing_follows_seconds_and_not_frames():
    places = {}
    for rate in (10, 100):
        tracker = Tracker(smooth=True)
        for i in range(-rate, rate // 5 + 1):
            result = tracker.update(faces_at([100 + 20 * (i > 0), 100]), i / rate)
        places[rate] = centres_of(result)[0, 0]
    # After 0.2 s of a step by 20 pixels.
    assert abs(places[10] - places[100]) < 3


def test_smoothing_can_be_turned_on_and_off_while_running():
    tracker, random = Tracker(), np.random.default_rng(0)
    frames = [faces_at([100, 100], random=random) for _ in range(6)]
    for i, faces in enumerate(frames):
        tracker.smooth = i in (2, 3)
        result = tracker.update(faces, i / 30)
        assert result.ids == ('1',)
        assert np.array_equal(result.boxes, faces.boxes) == (not tracker.smooth)


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


def test_a_hundred_faces_take_well_below_20_milliseconds():
    tracker, random = Tracker(smooth=True), np.random.default_rng(0)
    place = random.uniform(0, 1000, (100, 2))
    took = []
    for i in range(20):
        faces = faces_at(place, random=random)
        begin = time.perf_counter()
        tracker.update(faces, i / 30)
        took.append(time.perf_counter() - begin)
    assert min(took) < 0.01


coordinate = st.floats(-3000, 3000, width=32)
frame = st.tuples(
    st.lists(st.tuples(coordinate, coordinate, st.floats(0, 500, width=32)), max_size=8),
    st.sampled_from([0.0, 1e-9, 0.03, 0.3, 0.99, 2.0, -1.0]),
    st.sampled_from([None, NOWHERE, EVERYWHERE, parts([0, 0, 500, 500], 50)]),
)


@given(st.lists(frame, max_size=12), st.booleans(), st.sampled_from([0.0, 1.0, 1e6]))
def test_ids_are_never_used_twice_and_all_numbers_finite(frames, smooth, lost_after):
    tracker = Tracker(lost_after, smooth)
    seconds, gone, before, highest = 1000.0, set(), set(), 0
    for places, step, looked_at in frames:
        seconds += step
        faces = faces_at([place[:2] for place in places], [place[2] for place in places])
        with np.errstate(all='raise', under='ignore'):
            result = tracker.update(faces, seconds, looked_at)
        assert len(result) >= len(faces)
        assert len(set(result.ids)) == len(result.ids)
        for numbers in (result.boxes, result.keypoints, result.scores, tracker.expected(seconds)):
            assert numbers.dtype == np.float32
            assert np.isfinite(numbers).all()
        assert (result.boxes[:, 2:] >= result.boxes[:, :2]).all()
        live = set(tracker.trails())
        assert set(result.ids) <= live
        gone |= before - live
        assert not gone & live
        assert all(int(key) > highest for key in live - before)
        highest = max(highest, *map(int, live), 0)
        before = live


@pytest.mark.parametrize('count', [0, 1, 200])
def test_any_number_of_faces_will_do(count):
    tracker = Tracker()
    places = np.stack([np.arange(count) * 100, np.full(count, 50)], axis=1)
    for seconds in (0, 0.1):
        result = tracker.update(faces_at(places), seconds)
        assert result.ids == tuple(str(1 + i) for i in range(count))
