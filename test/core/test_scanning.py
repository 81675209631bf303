"""A pipeline that scans: a few tiles a frame, and yet everybody is found and followed."""

import itertools

import numpy as np
import pytest
from core_support import from_afar

from blazeface_ros import CameraFrame, FacePipeline, Frame, PipelineSettings
from blazeface_ros.core.scan import bound
from blazeface_ros.lab.clips import cut_heads, walking_clip
from blazeface_ros.lab.evaluation import match

#: A scan of two tiles a frame for faces from 48 pixels on.
SCAN = {'search': 'scan', 'smallest_face': 48, 'tiles_per_frame': 2}


@pytest.fixture
def start(detector):
    """Starts a pipeline with some settings, on the network that all tests share."""
    return lambda **settings: FacePipeline.from_detector(detector, PipelineSettings(**settings))


@pytest.mark.parametrize(
    ('budget', 'sizes', 'expected'),
    [
        (1, [(1920, 1080)], [1]),
        (3, [(1920, 1080)] * 3, [3, 3, 3]),
        (1, [(1920, 1080)] * 3, [1, 1, 1]),
        # What the small picture does not need goes to the others.
        (3, [(1920, 1080), (320, 240), (1920, 1080)], [4, 1, 4]),
        (4, [(320, 240), (1920, 1080)], [1, 7]),
        (99, [(1920, 1080)], [11]),
    ],
)
def test_cameras_share_the_tiles_evenly_and_each_has_one(start, budget, sizes, expected):
    pipeline = start(search='scan', smallest_face=48, tiles_per_frame=budget)
    batch = [
        CameraFrame(Frame(np.zeros((height, width), np.uint8), 'gray'), 0.0, f'camera {i}')
        for i, (width, height) in enumerate(sizes)
    ]
    results = pipeline.process_batch(batch)
    assert [len(result.tiles) for result in results] == expected
    for result in results:
        assert set(result.tiles) <= set(result.plan.tiles)
        assert all(tile.angle == 0 for tile in result.tiles)


def test_each_camera_has_a_scan_of_its_own(start):
    pipeline = start(search='scan', smallest_face=48, tiles_per_frame=1)
    black = Frame(np.zeros((1080, 1920), np.uint8), 'gray')
    tiles = {'left': set(), 'right': set()}
    for i in range(22):
        for camera, searched in tiles.items():
            result = pipeline.process(black, i / 10, camera)
            searched.update(result.tiles)
    assert bound(result.plan) == 22
    assert tiles['left'] == tiles['right'] == set(result.plan.tiles)


@pytest.mark.parametrize(
    ('smallest_face', 'tracking'), [(40, True), (48, False), (48, True), (64, True)]
)
def test_everybody_is_found_within_the_bound_and_then_shown_in_every_frame(
    start, scene, smallest_face, tracking
):
    pipeline = start(**SCAN | {'smallest_face': smallest_face}, tracking=tracking)
    frames = bound(pipeline.process(scene, 0.0).plan)
    results = [pipeline.process(scene, i / 10) for i in range(1, frames + 12)]
    assert all(1 <= len(result.tiles) <= 2 < len(result.plan.tiles) for result in results)
    for faces in (result.faces for result in results):
        if tracking:
            assert all(faces.ids) and len(set(faces.ids)) == len(faces)
        else:
            assert faces.ids == ('',) * len(faces)
        # Those found come first.
        assert faces.predicted.tolist() == sorted(faces.predicted)
    shown = [result.faces for result in results[frames - 1 :]]
    assert [len(faces) for faces in shown] == [5] * len(shown)
    if tracking:
        assert len({key for faces in shown for key in faces.ids}) == 5
    # Two tiles do not show all of them in most frames, but they show some.
    assert any(faces.predicted.any() for faces in shown)
    assert not any(faces.predicted.all() for faces in shown)


def test_a_face_is_missed_as_soon_as_its_place_was_searched_in_vain(start, scene, astronaut):
    pipeline = start(**SCAN, tracking=True)
    frame = from_afar(astronaut, 0.5, 700, 300)
    for i in range(22):
        before = pipeline.process(frame, i / 10)
    assert len(before.faces) == 1
    after = pipeline.process(np.full_like(frame, 120), 2.2)
    # The first tile of a scan is around the known face.
    x0, y0, size, _ = after.tiles[0]
    assert x0 < before.faces.boxes[0, 0] and before.faces.boxes[0, 2] < x0 + size
    assert y0 < before.faces.boxes[0, 1] and before.faces.boxes[0, 3] < y0 + size
    assert len(after.faces) == 0


def test_a_face_that_was_not_searched_for_stays_where_it_should_be(start, astronaut):
    # One tile a frame: none is around the known face.
    pipeline = start(**SCAN | {'tiles_per_frame': 1}, tracking=True, track_lost_after=3.0)
    frame = from_afar(astronaut, 0.5, 700, 300)
    known, outcomes = None, set()
    for i in range(40):
        result = pipeline.process(frame, i / 10)
        if known is None and len(result.faces):
            known = result.faces
        elif known is not None:
            assert result.faces.ids == known.ids
            np.testing.assert_allclose(result.faces.boxes, known.boxes, atol=12)
            outcomes.add(bool(result.faces.predicted[0]))
    assert outcomes == {False, True}


def test_no_more_than_max_faces_come_out_of_a_scan(start, scene):
    pipeline = start(**SCAN, tracking=True, max_faces=2)
    counts = [len(pipeline.process(scene, i / 10).faces) for i in range(10)]
    assert max(counts) == counts[-1] == 2


def test_a_scan_with_tiles_enough_for_the_whole_plan_is_exhaustive(start, scene):
    settings = {'smallest_face': 48, 'tracking': True}
    scan = start(search='scan', tiles_per_frame=20, **settings)
    exhaustive = start(**settings)
    for i in range(3):
        first, second = (one.process(scene, i / 10) for one in (scan, exhaustive))
        assert first.faces == second.faces
        assert first.tiles == second.tiles == first.plan.tiles


def test_the_search_may_change_with_every_frame(start, scene):
    pipeline = start()
    steps = itertools.product([0, 48, 60], ['exhaustive', 'scan'], [scene, scene[:, 200:]])
    for i, (smallest, search, picture) in enumerate(steps):
        pipeline.settings = PipelineSettings(
            smallest_face=smallest, search=search, tiles_per_frame=2, tracking=True
        )
        result = pipeline.process(picture, i / 10)
        assert len(result.faces) >= 3
        height, width = picture.shape[:2]
        assert (result.plan.width, result.plan.height) == (width, height)
        total = len(result.plan.tiles)
        assert total > 1 or not smallest
        assert len(result.tiles) == (min(2, total) if search == 'scan' else total)


def test_a_scan_follows_people_who_walk_by_and_their_ids_stay(start, samples):
    pipeline = start(**SCAN | {'tiles_per_frame': 3}, tracking=True)
    present = found = changes = 0
    latest, pending = {}, None
    for i, frame in enumerate(walking_clip(cut_heads(samples), seconds=6.0)):
        result = pipeline.process(frame.pixels, i / 10)
        pending = set(result.plan.tiles) if pending is None else pending
        pending -= set(result.tiles)
        matched = match(result.faces, frame.truth, 0.3)
        for face, key in zip(matched, result.faces.ids):
            if face >= 0 and frame.truth.widths[face] >= 48:
                person = int(frame.persons[face])
                changes += latest.get(person, key) != key
                latest[person] = key
        if not pending:
            wanted = frame.visible & (frame.truth.widths >= 48)
            present += int(wanted.sum())
            found += int(wanted[matched[matched >= 0]].sum())
    assert present > 100
    assert found >= 0.9 * present
    assert changes <= 1
