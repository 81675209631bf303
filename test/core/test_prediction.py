"""Known faces that are not seen: where they are predicted, and when they are missed."""

import numpy as np
import pytest
from core_support import SIZE, along, centres_of, everywhere, faces_at, nowhere, within

from blazeface_ros import Faces
from blazeface_ros.core.tracking import TRAIL_LENGTH, Tracker


def test_what_is_seen_once_and_then_missed_is_gone_and_its_id_burnt():
    tracker = Tracker()
    tracker.update(faces_at([100, 100]), 0)
    assert len(tracker.update(Faces.empty(), 0.1)) == 0
    assert len(tracker.expected(0.1)) == 0
    assert tracker.update(faces_at([100, 100]), 0.2).ids == ('f0002',)


def test_a_face_that_was_not_looked_for_is_predicted_where_it_should_be():
    tracker = Tracker()
    for i in range(10):
        tracker.update(faces_at(along([100, 100], [120, 30], i / 10)), i / 10)
    for seconds in (1.0, 1.5):
        predicted = tracker.update(Faces.empty(), seconds, nowhere)
        assert predicted.ids == ('f0001',)
        expected = faces_at(along([100, 100], [120, 30], seconds))
        np.testing.assert_allclose(predicted.boxes, expected.boxes, atol=0.03 * SIZE)
        np.testing.assert_allclose(predicted.keypoints, expected.keypoints, atol=0.03 * SIZE)
        np.testing.assert_array_equal(predicted.scores, np.float32([0.9]))
        np.testing.assert_array_equal(tracker.expected(seconds), predicted.boxes)


def test_the_speed_of_a_face_is_known_from_its_second_frame_on():
    tracker = Tracker()
    for i in range(2):
        tracker.update(faces_at(along([100, 100], [4 * SIZE, 0], i / 30)), i / 30)
    predicted = tracker.update(Faces.empty(), 0.2, nowhere)
    expected = along([100, 100], [4 * SIZE, 0], 0.2)
    # Taken over by 85 %: it might be jitter.
    np.testing.assert_allclose(centres_of(predicted)[0], expected, atol=0.12 * SIZE)


def test_a_predicted_face_grows_as_it_comes_nearer():
    tracker = Tracker()
    for i in range(10):
        tracker.update(faces_at([200, 200], 60 + 4 * i), i / 10)
    predicted = tracker.update(Faces.empty(), 1.2, nowhere)
    expected = faces_at([200, 200], 108)
    np.testing.assert_allclose(predicted.boxes, expected.boxes, atol=2)
    np.testing.assert_allclose(predicted.keypoints, expected.keypoints, atol=2)


@pytest.mark.parametrize(('change', 'limit'), [(1.1, 1.25), (1 / 1.1, 0.8)])
def test_a_predicted_face_grows_or_shrinks_by_a_quarter_at_most(change, limit):
    tracker = Tracker(lost_after=2.0)
    sizes = 200 * change ** np.arange(8)
    for i, size in enumerate(sizes):
        tracker.update(faces_at([300, 300], size), i / 10)
    for seconds in (1.2, 1.7, 2.6):
        x0, y0, x1, y1 = tracker.update(Faces.empty(), seconds, nowhere).boxes[0]
        # It would be twice or half as large in 0.7 s.
        np.testing.assert_allclose((x1 - x0) / sizes[-1], limit, rtol=0.02)
        np.testing.assert_array_equal(tracker.expected(seconds)[0], [x0, y0, x1, y1])


def test_a_face_is_predicted_for_lost_after_since_it_was_seen_and_no_longer():
    tracker = Tracker(lost_after=1.0)
    tracker.update(faces_at([100, 100]), 0)
    assert tracker.update(Faces.empty(), 0.5, nowhere).ids == ('f0001',)
    assert tracker.update(Faces.empty(), 1.0, nowhere).ids == ('f0001',)
    assert tracker.update(Faces.empty(), 1.01, nowhere).ids == ()


@pytest.mark.parametrize(
    ('searched', 'missed'),
    [
        (None, True),
        (everywhere, True),
        (nowhere, False),
        (within(0, 200), True),
        (within(71, 200), False),
        (within(0, 129), False),
    ],
    ids=['everything', 'everywhere', 'nowhere', 'around it', 'too far right', 'too far left'],
)
def test_a_face_is_missed_only_where_its_place_was_searched(searched, missed):
    tracker = Tracker()
    for seconds in (0, 0.1):
        tracker.update(faces_at([100, 100]), seconds)  # from 70 to 130
    result = tracker.update(Faces.empty(), 0.2, searched)
    assert result.ids == (() if missed else ('f0001',))
    assert result.predicted.tolist() == [True] * len(result)


def test_what_was_searched_is_asked_about_the_places_where_faces_are_predicted():
    tracker, asked = Tracker(), []

    def searched(boxes):
        asked.append(boxes)
        return nowhere(boxes)

    for i in range(10):
        tracker.update(faces_at(along([[100, 100], [500, 100]], [120, 30], i / 10)), i / 10)
    predicted = tracker.update(Faces.empty(), 1.2, searched)
    (boxes,) = asked
    assert boxes.dtype == np.float32
    np.testing.assert_array_equal(boxes, predicted.boxes)
    np.testing.assert_allclose(
        centres_of(predicted), along([[100, 100], [500, 100]], [120, 30], 1.2), atol=2
    )


def test_each_face_is_missed_or_predicted_by_its_own_place():
    tracker = Tracker()
    for seconds in (0, 0.1):
        tracker.update(faces_at([[100, 100], [300, 100], [500, 100]]), seconds)
    result = tracker.update(Faces.empty(), 0.2, within(200, 400))
    assert result.ids == ('f0001', 'f0003')


def test_a_missed_face_is_left_out_until_it_is_seen_again():
    tracker = Tracker()
    for seconds in (0, 0.1):
        tracker.update(faces_at([100, 100]), seconds)
    assert len(tracker.update(Faces.empty(), 0.2, everywhere)) == 0
    assert len(tracker.update(Faces.empty(), 0.3, nowhere)) == 0
    assert tracker.update(faces_at([100, 100]), 0.4).ids == ('f0001',)
    assert tracker.update(Faces.empty(), 0.5, nowhere).ids == ('f0001',)


def test_predicted_faces_come_after_those_found():
    tracker = Tracker()
    tracker.update(faces_at([[100, 100], [300, 100]]), 0)
    found = faces_at([[500, 100], [300, 100]])
    result = tracker.update(found, 0.1, within(200, 600))
    assert result.ids == ('f0003', 'f0002', 'f0001')
    assert result.predicted.tolist() == [False, False, True]
    np.testing.assert_array_equal(result.boxes[2], faces_at([100, 100]).boxes[0])


def test_expected_puts_faces_seen_once_first_and_then_those_not_seen_for_longest():
    tracker = Tracker()
    tracker.update(faces_at([[100, 100], [300, 100]]), 0)
    tracker.update(faces_at([[300, 100], [100, 100]]), 0.1)
    tracker.update(faces_at([[500, 100], [100, 100]]), 0.2, nowhere)
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
    np.testing.assert_allclose(trails['f0001'], places[-TRAIL_LENGTH:], rtol=1e-5)
    assert len(trails['f0002']) == 15
    tracker.update(faces_at(places[-1]), 1.6)
    assert set(tracker.trails()) == {'f0001'}
