"""Frames of cameras in, faces with ids out, on the real network."""

import re
from dataclasses import replace

import numpy as np
import pytest
from core_support import FRAME_SIZE, assert_same_bits, from_afar

from blazeface_ros import (
    CameraFrame,
    FaceDetector,
    FacePipeline,
    Faces,
    Frame,
    FrameResult,
    PipelineSettings,
)
from blazeface_ros.core.tiling import plan_tiles
from blazeface_ros.errors import ConfigurationError, ImageError

BLACK = np.zeros((720, 1280, 3), np.uint8)


@pytest.fixture
def start(detector):
    """Starts a pipeline with some settings, on the network that all tests share."""
    return lambda **settings: FacePipeline.from_detector(detector, PipelineSettings(**settings))


def test_one_frame_has_one_result(start, scene):
    result = start().process(scene, 0.0)
    assert isinstance(result, FrameResult)
    assert len(result.faces) == 5
    assert not result.faces.predicted.any()
    assert result.faces.ids == ('',) * 5
    assert result.plan == plan_tiles(1280, 720, 0, 1 / 14)
    assert result.tiles == result.plan.tiles
    assert [tile.angle for tile in result.tiles] == [0]


def test_no_frames_have_no_results(start):
    assert start(tracking=True).process_batch([]) == []


def test_a_batch_has_a_result_for_each_frame_in_the_same_order(start, scene, astronaut):
    batch = [CameraFrame(astronaut, 0.0, 'left'), CameraFrame(Frame(scene), 5.0, 'right')]
    results = start(smallest_face=60).process_batch(batch)
    assert [len(result.faces) for result in results] == [1, 5]
    assert [(result.plan.width, result.plan.height) for result in results] == [
        (512, 512),
        (1280, 720),
    ]
    assert all(result.tiles == result.plan.tiles for result in results)
    assert len(results[1].tiles) > 1


@pytest.mark.parametrize('tracking', [False, True])
@pytest.mark.parametrize('smallest_face', [0, 48])
def test_an_exhaustive_search_finds_bit_for_bit_what_the_detector_finds(
    start, scene, astronaut, smallest_face, tracking
):
    pictures = [scene, astronaut]
    alone = FaceDetector(threads=1, smallest_face=smallest_face)
    expected = alone.detect_batch(pictures)
    pipeline = start(smallest_face=smallest_face, tracking=tracking)
    for i in range(3):
        batch = [CameraFrame(picture, i / 10, str(j)) for j, picture in enumerate(pictures)]
        for result, faces in zip(pipeline.process_batch(batch), expected):
            assert_same_bits(result.faces, faces)
            assert not result.faces.predicted.any()


def test_ids_stay_and_start_with_a_letter(start, scene):
    pipeline = start(tracking=True)
    first = pipeline.process(scene, 10.0).faces
    assert all(re.fullmatch(r'[a-z]\d{4}', key) for key in first.ids)
    assert len(set(first.ids)) == 5
    assert pipeline.process(scene, 10.1).faces.ids == first.ids


def test_ids_are_unique_across_cameras_and_never_used_again(start, scene, astronaut):
    pipeline, used = start(tracking=True, track_lost_after=0.5), set()
    for seconds in (0.0, 1.0, 2.0):
        batch = [CameraFrame(scene, seconds, 'left'), CameraFrame(astronaut, seconds, 'right')]
        ids = [key for result in pipeline.process_batch(batch) for key in result.faces.ids]
        assert len(set(ids)) == len(ids) == 6
        assert not used & set(ids)
        used |= set(ids)


def test_each_camera_has_ids_of_its_own(start, astronaut):
    pipeline = start(tracking=True)
    (left,) = pipeline.process(astronaut, 0.0, 'left').faces.ids
    (right,) = pipeline.process(astronaut, 0.0, 'right').faces.ids
    assert left != right
    for seconds in (0.1, 0.2):
        assert pipeline.process(astronaut, seconds, 'right').faces.ids == (right,)
        assert pipeline.process(astronaut, seconds, 'left').faces.ids == (left,)


def test_when_the_time_of_a_camera_goes_back_its_ids_end_and_others_stay(start, astronaut):
    pipeline = start(tracking=True)
    for seconds in (9.9, 10.0):
        before = [pipeline.process(astronaut, seconds, name).faces.ids for name in ('a', 'b')]
    assert pipeline.process(astronaut, 9.9, 'a').faces.ids not in before
    assert pipeline.process(astronaut, 10.1, 'b').faces.ids == before[1]


def test_a_camera_that_is_forgotten_starts_anew_and_others_stay(start, astronaut):
    pipeline = start(tracking=True)
    before = [pipeline.process(astronaut, 0.0, name).faces.ids for name in ('a', 'b')]
    assert list(pipeline.trails('a')) == list(before[0])
    pipeline.forget('a')
    pipeline.forget('a camera that never was')
    assert pipeline.trails('a') == {}
    assert pipeline.process(astronaut, 0.1, 'a').faces.ids not in before
    assert pipeline.process(astronaut, 0.1, 'b').faces.ids == before[1]


def test_trails_tell_where_each_face_has_been(start, astronaut):
    pipeline = start(tracking=True)
    centres = []
    for i in range(3):
        picture = np.roll(astronaut, 10 * i, axis=1)
        faces = pipeline.process(picture, i / 10, 'front').faces
        centres.append((faces.boxes[0, :2] + faces.boxes[0, 2:]) / 2)
    trails = pipeline.trails('front')
    assert list(trails) == list(faces.ids)
    np.testing.assert_allclose(trails[faces.ids[0]], centres, rtol=1e-5)
    assert pipeline.trails('back') == {}


def test_smoothing_and_the_time_until_a_face_is_lost_are_settings(start, astronaut):
    pipeline = start(tracking=True, track_smoothing=True, track_lost_after=0.5)
    first = pipeline.process(astronaut, 0.0).faces
    moved = pipeline.process(np.roll(astronaut, 20, axis=1), 0.1).faces
    assert moved.ids == first.ids
    assert 1 < moved.boxes[0, 0] - first.boxes[0, 0] < 19
    assert pipeline.process(astronaut, 0.7).faces.ids != first.ids


# Settings


def test_settings_are_replaced_whole_and_count_from_the_next_call_on(start, scene):
    pipeline = start(tracking=True)
    for seconds in (0.0, 0.1):
        ids = pipeline.process(scene, seconds).faces.ids
    for changed, found, tiles in (
        ({'score_threshold': 0.9}, 2, 1),
        ({'score_threshold': 0.0, 'max_faces': 3}, 3, 1),
        ({'max_faces': 0, 'smallest_face': 48}, 5, len(plan_tiles(1280, 720, 48, 1 / 14).tiles)),
        ({'search': 'scan', 'tiles_per_frame': 2}, 5, 2),
        ({'search': 'exhaustive', 'smallest_face': 0}, 5, 1),
    ):
        pipeline.settings = replace(pipeline.settings, **changed)
        result = pipeline.process(scene, 0.2)
        assert (len(result.faces), len(result.tiles)) == (found, tiles)
        assert set(result.faces.ids) <= set(ids)
    pipeline.settings = replace(pipeline.settings, tracking=False)
    assert pipeline.process(scene, 0.3).faces.ids == ('',) * 5


@pytest.mark.network
def test_the_settings_of_the_detector_are_not_those_of_the_pipeline(scene):
    detector = FaceDetector(threads=1, score_threshold=0.9, max_faces=1)
    assert len(FacePipeline.from_detector(detector).process(scene, 0.0).faces) == 5
    assert len(detector.detect(scene)) == 1


@pytest.mark.parametrize(
    ('name', 'value', 'allowed'),
    [
        ('tiles_per_frame', 0, '1 to 160'),
        ('tiles_per_frame', -3, '1 to 160'),
        ('track_lost_after', 0.0, '0.05 to 60.0'),
        ('search', 'banana', 'exhaustive, scan'),
        ('score_threshold', 1.5, '0.0 to 1.0'),
        ('threads', -1, '0 to 256'),
    ],
)
def test_settings_that_cannot_work_are_refused_with_name_value_and_what_is_allowed(
    name, value, allowed
):
    with pytest.raises(ConfigurationError) as refused:
        FacePipeline(**{name: value})
    for told in (name, str(value), allowed):
        assert told in str(refused.value)


def test_settings_of_an_unknown_name_are_refused():
    with pytest.raises(TypeError, match='smalest_face'):
        FacePipeline(smalest_face=24)


# What is no frame


@pytest.mark.parametrize(
    'frame',
    [
        CameraFrame(None, 0.2),
        CameraFrame(np.zeros((4, 4), np.uint8), 0.2),
        CameraFrame(np.zeros((0, 0, 3), np.uint8), 0.2),
        CameraFrame(BLACK, float('nan')),
        CameraFrame(BLACK, float('inf')),
        CameraFrame(BLACK, -float('inf')),
    ],
    ids=['None', 'no channels', 'empty', 'NaN', 'infinite', 'minus infinite'],
)
def test_what_is_no_frame_is_refused_and_the_pipeline_goes_on(start, astronaut, frame):
    pipeline = start(tracking=True)
    ids = pipeline.process(astronaut, 0.1).faces.ids
    with pytest.raises(ImageError):
        pipeline.process_batch([CameraFrame(astronaut, 0.2), frame])
    with pytest.raises(ImageError):
        pipeline.process(*frame)
    # Nothing of the batch was taken in.
    assert pipeline.process(astronaut, 0.15).faces.ids == ids


# At most so many faces


def test_faces_beyond_the_limit_keep_their_ids_and_are_not_counted_as_missed(
    start, scene, astronaut
):
    pipeline = start(tracking=True, max_faces=2)
    limited = [pipeline.process(scene, i / 10, 'hall').faces for i in range(3)]
    assert [faces.ids for faces in limited] == [('f0001', 'f0002')] * 3
    # All five were known from the first frame on, and are still.
    assert pipeline.process(astronaut, 0.3, 'door').faces.ids == ('f0006',)
    pipeline.settings = replace(pipeline.settings, max_faces=0)
    everybody = pipeline.process(scene, 0.3, 'hall').faces
    assert everybody.ids == tuple(f'f{1 + i:04}' for i in range(5))


# The end


@pytest.mark.network
def test_a_pipeline_is_closed_by_with_and_may_be_closed_twice(astronaut):
    with FacePipeline(threads=1, tracking=True) as pipeline:
        assert len(pipeline.process(astronaut, 0.0).faces) == 1
        assert not pipeline.detector.closed
    assert pipeline.detector.closed
    pipeline.close()
    assert pipeline.detector.closed


@pytest.mark.network
def test_an_error_leaves_with_and_closes_the_pipeline():
    with pytest.raises(ImageError), FacePipeline(threads=1) as pipeline:
        pipeline.process(None, 0.0)
    assert pipeline.detector.closed


def test_the_detector_may_be_replaced_between_two_frames(start, detector, astronaut):
    pipeline = start(tracking=True)
    ids = pipeline.process(astronaut, 0.0).faces.ids
    pipeline.detector = FaceDetector('full_range', threads=1)
    other = pipeline.process(astronaut, 0.1).faces
    assert other.ids == ids
    assert not np.array_equal(other.boxes, detector.detect(astronaut).boxes)


def test_the_stages_of_the_last_call_are_named(start, scene):
    pipeline = start(search='scan', smallest_face=48, tracking=True)
    assert pipeline.stage_seconds == {}
    pipeline.process(scene, 0.0)
    assert set(pipeline.stage_seconds) == {'sample', 'network', 'merge', 'track'}


def test_faces_that_walk_in_and_out_are_new_and_gone(start, astronaut):
    pipeline = start(tracking=True)
    empty = np.zeros_like(astronaut)
    assert pipeline.process(empty, 0.0).faces == Faces.empty()
    (key,) = pipeline.process(astronaut, 0.1).faces.ids
    assert pipeline.process(astronaut, 0.2).faces.ids == (key,)
    assert pipeline.process(empty, 0.3).faces == Faces.empty()
    assert pipeline.process(astronaut, 0.4).faces.ids == (key,)
    for seconds in (0.5, 1.5):
        assert pipeline.process(empty, seconds).faces == Faces.empty()
    assert pipeline.process(astronaut, 1.6).faces.ids != (key,)


def test_far_faces_are_followed_as_well(start, scene):
    pipeline = start(tracking=True, smallest_face=24)
    near, later = (
        pipeline.process(from_afar(scene, 0.35, 700 + 4 * i, 300), i / 10) for i in range(2)
    )
    assert (near.plan.width, near.plan.height) == FRAME_SIZE
    assert len(near.faces) == 5
    assert sorted(later.faces.ids) == sorted(near.faces.ids)
