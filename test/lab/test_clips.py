"""Clips of people who walk past a camera, made for measuring."""

from itertools import islice

import numpy as np
import pytest
from shared import found_closely

from blazeface_ros.errors import ConfigurationError
from blazeface_ros.lab.clips import cut_heads, walking_clip
from blazeface_ros.lab.scenes import HEIGHT, WIDTH


@pytest.fixture(scope='module')
def clip(samples):
    """Ten seconds; only every fifth frame keeps its pixels."""
    frames = walking_clip(cut_heads(samples))
    return [f if i % 5 == 0 else f._replace(pixels=None) for i, f in enumerate(frames)]


def test_heads_are_cut_whole(samples):
    heads = cut_heads(samples)
    assert len(heads) >= 4
    for head in heads:
        height, width = head.pixels.shape[:2]
        assert (head.box > 0).all() and (head.box < (width, height, width, height)).all()
    assert len(cut_heads(samples, smallest=150)) <= 1


def test_visible_faces_of_a_clip_are_where_its_truth_says(detector, clip):
    outcomes = []
    for frame in clip[::5]:
        assert frame.pixels.shape == (HEIGHT, WIDTH, 3)
        for box, visible in zip(frame.truth.boxes, frame.visible):
            # One that is just half covered may be missed.
            if visible:
                outcomes.append(found_closely(detector, frame.pixels, box))
    assert len(outcomes) > 60
    assert np.mean(outcomes) > 0.9


def test_people_of_a_clip_walk_steadily_and_differ_in_size(clip):
    assert len(clip) == 100
    tracks = {}
    for frame in clip:
        assert len(frame.persons) == len(frame.truth.boxes) == len(frame.visible)
        for person, box in zip(frame.persons.tolist(), frame.truth.boxes):
            tracks.setdefault(person, []).append(box)
    assert sorted(tracks) == list(range(6))
    widths = []
    for boxes in map(np.array, tracks.values()):
        width = boxes[:, 2] - boxes[:, 0]
        widths += width.tolist()
        steps = np.diff(boxes[:, 0] + boxes[:, 2]) / 2
        assert (np.sign(steps) == np.sign(steps[0])).all()
        assert (np.abs(steps) < 0.5 * width[1:]).all()
    assert 30 <= min(widths) < 45
    assert 120 < max(widths) <= 202


def test_a_pillar_hides_every_other_person_for_half_a_second(clip):
    hidden = {}
    for number, frame in enumerate(clip):
        x = frame.truth.boxes[:, ::2].mean(1)
        for person in frame.persons[~frame.visible & (x > 0) & (x < WIDTH)].tolist():
            hidden.setdefault(person, []).append(number)
    for person in (0, 2, 4):
        runs = np.split(hidden[person], np.flatnonzero(np.diff(hidden[person]) > 1) + 1)
        assert any(4 <= len(run) <= 6 for run in runs)
        assert max(map(len, runs)) <= 10  # never away for more than a second


def test_the_same_clip_is_made_again(samples):
    heads = cut_heads(samples)
    for first, again in zip(*(islice(walking_clip(heads, seed=3), 2) for _ in range(2))):
        assert (first.pixels == again.pixels).all()
        assert (first.truth.boxes == again.truth.boxes).all()


def test_a_clip_of_nothing_is_refused(samples):
    with pytest.raises(ConfigurationError, match='no heads'):
        walking_clip([])
    with pytest.raises(ConfigurationError, match='rate is 0'):
        walking_clip(cut_heads(samples), rate=0)
