"""What smoothing takes off, and what it leaves as it is."""

import numpy as np
import pytest
from core_support import along, assert_same_bits, centres_of, faces_at

from blazeface_ros.core.tracking import Tracker


def test_without_smoothing_the_numbers_come_out_bit_for_bit():
    tracker, random = Tracker(), np.random.default_rng(0)
    for i in range(10):
        faces = faces_at(random.uniform(0, 1000, (20, 2)), random.uniform(1, 300, 20), random)
        result = tracker.update(faces, i / 30)
        assert_same_bits(result[: len(faces)], faces)


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
    assert all(110 < place < 120 for place in places.values())


def test_smoothing_can_be_turned_on_and_off_while_running():
    tracker, random = Tracker(), np.random.default_rng(0)
    frames = [faces_at([100, 100], random=random) for _ in range(6)]
    for i, faces in enumerate(frames):
        tracker.smooth = i in (2, 3)
        result = tracker.update(faces, i / 30)
        assert result.ids == ('f0001',)
        assert np.array_equal(result.boxes, faces.boxes) == (not tracker.smooth)
