"""Where is looked, what comes of it, and that nothing is forgotten."""

import itertools
from math import nextafter

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from blazeface_ros import FaceDetector, Faces, Frame
from blazeface_ros.core.scan import Search, Stream
from blazeface_ros.core.tiles import MOST_WINDOWS, judge, levels
from blazeface_ros.errors import ConfigurationError
from blazeface_ros.lab.evaluation import GroundTruth, match
from blazeface_ros.lab.scenes import cut_heads, walking_clip

SHARE = 1 / 14
WIDTH, HEIGHT = 640, 360
#: Many windows for a small frame.
PLAN = levels(WIDTH, HEIGHT, 10, SHARE)


def faces_in(boxes):
    boxes = np.float32(boxes).reshape(-1, 4)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    keypoints = np.repeat(centres[:, None], 6, axis=1)
    return Faces(boxes, keypoints, np.full(len(boxes), 0.9, np.float32))


def still():
    return Frame(np.full((HEIGHT, WIDTH, 3), 90, np.uint8))


def holds(square, box, margin=0.0):
    x0, y0, size = square
    return (
        x0 + margin <= box[0]
        and y0 + margin <= box[1]
        and box[2] <= x0 + size - margin
        and box[3] <= y0 + size - margin
    )


# All windows of a frame


@st.composite
def frames_and_faces(draw):
    """A frame, the smallest face asked for, and the box of a face at least as large in it."""
    width, height = draw(st.integers(64, 4096)), draw(st.integers(64, 4096))
    share = draw(st.sampled_from([1 / 14, 1 / 7]))
    smallest = draw(st.integers(1, 400))
    plan = levels(width, height, smallest, share)
    lowest = plan.smallest_face
    # Nearer faces fill a frame many times as wide as high, and no smaller square shows more.
    highest = min(width, height) * (1 if max(width, height) <= 2 * min(width, height) else 0.6)
    assume(lowest <= highest)
    size = draw(st.floats(lowest, max(lowest, nextafter(highest, 0))))
    x0, y0 = draw(st.floats(0, width - size)), draw(st.floats(0, height - size))
    return (width, height), share, plan, (x0, y0, x0 + size, y0 + size)


@settings(max_examples=300)
@given(frames_and_faces())
def test_every_face_lies_whole_in_a_window_that_shows_it_well(drawn):
    size, share, plan, box = drawn
    width = box[2] - box[0]
    count = len(plan.windows)
    points = np.zeros((count, 8, 2), np.float32)
    points[:, :2] = np.float32(box).reshape(2, 2)
    finest = plan.windows[-1][2]
    _, clear = judge(points, np.float32(plan.windows), size, finest, share)
    assert any(
        shown and holds(square, box, -0.01) and (width >= share * square[2] or square[2] == finest)
        for square, shown in zip(plan.windows, clear)
    )


@example(1, 2457, 351, False)  # just what the whole frame shows
@given(st.integers(1, 4096), st.integers(1, 4096), st.integers(0, 4096), st.booleans())
def test_the_whole_frame_comes_first_and_all_others_lie_inside_it(width, height, smallest, far):
    plan = levels(width, height, smallest, 1 / 14 if far else 1 / 7)
    longest = max(width, height)
    assert plan.windows[0] == ((width - longest) / 2, (height - longest) / 2, longest)
    assert len(plan.windows) <= MOST_WINDOWS
    sizes = [size for _, _, size in plan.windows]
    assert sizes == sorted(sizes, reverse=True)
    for x0, y0, size in plan.windows[1:]:
        assert (x0, y0, size) == (int(x0), int(y0), int(size))
        assert size >= 1
        assert x0 >= 0 and y0 >= 0 and x0 + size <= width and y0 + size <= height
    assert len(set(plan.windows)) == len(plan.windows)
    if smallest == 0:
        assert len(plan.windows) == 1
    assert bool(plan.note) == (smallest != 0 and plan.smallest_face != smallest)


def test_without_a_smallest_face_the_whole_frame_is_all_and_nothing_is_noted():
    plan = levels(1920, 1080, 0, SHARE)
    assert plan.windows == ((0, -420, 1920),)
    assert plan.smallest_face == pytest.approx(1920 / 14)
    assert plan.note == ''


def test_the_finest_windows_are_as_large_as_the_smallest_face_allows():
    plan = levels(1920, 1080, 48, SHARE)
    assert plan.windows[-1][2] == 48 * 14
    assert (plan.smallest_face, plan.note) == (48, '')


def test_a_smallest_face_that_takes_too_many_windows_is_raised_and_noted():
    plan = levels(3840, 2160, 1, SHARE)
    assert MOST_WINDOWS / 2 < len(plan.windows) <= MOST_WINDOWS
    assert 16 < plan.smallest_face < 32
    assert plan.note.startswith(
        f'smallest_face is 1, which takes more than {MOST_WINDOWS} windows of a picture of '
        '3840 x 2160: it is searched for faces from '
    )


@pytest.mark.parametrize('size', [(32766, 1), (20000, 60)])
def test_the_note_says_what_is_searched_also_where_no_window_is_left(size):
    plan = levels(*size, 10, SHARE)
    assert len(plan.windows) == 1
    assert f'it is searched for faces from {plan.smallest_face:.0f} pixels on' in plan.note


def test_a_smallest_face_larger_than_the_whole_frame_shows_is_noted():
    plan = levels(640, 480, 100, SHARE)
    assert plan.windows == ((0, -80, 640),)
    assert plan.note == (
        'smallest_face is 100, but one look at the whole picture of 640 x 480 shows faces from 46 '
        'pixels on: it is all that is searched'
    )


# Where a scan looks


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    budget=st.integers(1, 8),
    people=st.integers(0, 12),
    mover=st.sampled_from(['nothing', 'one place', 'everything', 'all but one window']),
)
def test_each_window_has_its_turn_within_the_bound_whatever_moves(seed, budget, people, mover):
    random, stream = np.random.default_rng(seed), Stream()
    last_look = dict.fromkeys(PLAN.windows, 0)
    corner = random.uniform(0, (WIDTH - 40, HEIGHT - 40), (people, 2))
    frames = 3 * 2 * len(PLAN.windows)
    for i in range(1, frames + 1):
        frame = still()
        if mover == 'one place':
            frame.pixels[:60, :60] = 255 * (i % 2)
        elif mover == 'everything':
            frame.pixels[:] = random.integers(0, 255, (1, 1, 3))
        elif mover == 'all but one window':
            left, top, _ = map(int, PLAN.windows[-1])
            frame.pixels[:top] = frame.pixels[:, :left] = 255 * (i % 2)
        chosen = stream.choose(PLAN, SHARE, frame, i / 10, budget)
        assert 1 <= len(chosen) <= budget
        for square in set(chosen) & set(last_look):
            last_look[square] = i
        assert stream.bound == 2 * len(PLAN.windows)
        assert i - min(last_look.values()) < stream.bound
        corner += random.normal(0, 2, (people, 2))
        stream.tracker.update(faces_in(np.concatenate([corner, corner + 30], axis=1)), i / 10)


@pytest.mark.parametrize('tracked', [0, 1, 20])
def test_however_many_faces_are_tracked_one_window_is_left_for_the_others(tracked):
    stream = Stream()
    places = np.float32([[40 * i, 40 * (i % 8)] for i in range(tracked)]).reshape(-1, 2) % 320
    stream.tracker.update(faces_in(np.concatenate([places, places + 20], axis=1)), 0)
    chosen = stream.choose(PLAN, SHARE, still(), 0.1, 3)
    assert len(chosen) == 3
    assert chosen[-1] in PLAN.windows
    alone = [stream.choose(PLAN, SHARE, still(), 0.1, 1)[0] for _ in range(6)]
    assert len({chosen[-1], *alone}) == 7, 'each time another one'
    assert set(alone) <= set(PLAN.windows)


def looks_until(target, moving):
    """How many frames a scan of one window a frame takes until it looks into this one."""
    stream = Stream()
    x0, y0, size = map(int, target)
    for i in itertools.count(1):
        frame = still()
        if moving:
            frame.pixels[y0 : y0 + size, x0 : x0 + size] = 255 * (i % 2)
        if target in stream.choose(PLAN, SHARE, frame, i / 10, 1):
            return i


@pytest.mark.parametrize('index', [-1, -10, len(PLAN.windows) // 2])
def test_where_something_moves_is_looked_at_sooner_than_its_turn_comes(index):
    target = PLAN.windows[index]
    assert looks_until(target, moving=True) <= 8 < looks_until(target, moving=False)


@pytest.mark.parametrize('channels', ['gray', 'bgr', 'rgba'])
@pytest.mark.parametrize('reduction', [1, 2])
def test_motion_is_seen_in_every_layout_and_in_reduced_frames(channels, reduction):
    target = PLAN.windows[-1]
    x0, y0, size = (int(value) // reduction for value in target)
    layout = () if channels == 'gray' else (len(channels),)
    stream = Stream()
    for i in range(1, 10):
        pixels = np.full((HEIGHT // reduction, WIDTH // reduction, *layout), 90, np.uint8)
        pixels[y0 : y0 + size, x0 : x0 + size] = 255 * (i % 2)
        frame = Frame(pixels, channels, reduction)
        if target in stream.choose(PLAN, SHARE, frame, i / 10, 1):
            break
    else:
        pytest.fail('nobody looked where it moved')


@st.composite
def face_boxes(draw):
    width, height = draw(st.sampled_from([(1920, 1080), (1080, 1920), (3840, 1080), (640, 480)]))
    smallest = draw(st.integers(8, 90))
    plan = levels(width, height, smallest, SHARE)
    boxes = []
    for _ in range(draw(st.integers(1, 6))):
        size = draw(st.floats(plan.smallest_face, min(width, height) * 0.9))
        x0, y0 = draw(st.floats(0, width - size)), draw(st.floats(0, height - size))
        boxes.append((x0, y0, x0 + size, y0 + size))
    return (width, height), plan, np.float32(boxes)


@settings(max_examples=150)
@given(face_boxes())
def test_windows_around_known_faces_contain_them_large_enough(drawn):
    (width, height), plan, boxes = drawn
    stream = Stream()
    stream.tracker.update(faces_in(boxes), 0)
    frame = Frame(np.zeros((height, width), np.uint8), 'gray')
    chosen = stream.choose(plan, SHARE, frame, 0, len(boxes) + 1)
    around = chosen[:-1]
    finest = plan.windows[-1][2]
    for box in stream.tracker.expected(0):
        share_of = [
            (box[2] - box[0]) / square[2] if square[2] > finest else 1
            for square in (around if len(around) == len(boxes) else chosen)
            if holds(square, box, -1)
        ]
        assert share_of
        assert max(share_of) >= SHARE
    for x0, y0, size in around:
        if size < max(width, height):
            assert x0 >= 0 and y0 >= 0 and x0 + size <= width and y0 + size <= height


def test_faces_close_together_share_a_window():
    stream = Stream()
    stream.tracker.update(faces_in([[100, 100, 120, 120], [125, 100, 145, 120]]), 0)
    chosen = stream.choose(PLAN, SHARE, still(), 0, 3)
    assert all(holds(chosen[0], box) for box in stream.tracker.expected(0))
    # The two that are left go by turn and motion.
    assert set(chosen[1:]) <= set(PLAN.windows)


@pytest.mark.parametrize('meeting', [0, 1, 2])
def test_faces_that_meet_are_looked_at_before_those_alone(meeting):
    places = [[30, 30, 40, 40], [300, 150, 310, 160], [600, 320, 610, 330]]
    x0, y0, x1, y1 = places[meeting]
    stream = Stream()
    stream.tracker.update(faces_in([*places, [x0 + 7, y0, x1 + 7, y1]]), 0)
    chosen = stream.choose(PLAN, SHARE, still(), 0, 2)
    assert holds(chosen[0], [x0, y0, x1 + 7, y1])


# Searching


@pytest.fixture(scope='module')
def far():
    """A detector for far faces."""
    return FaceDetector(threads=1, smallest_face=48)


def looked(search, detector, sizes, rounds=1):
    """How many windows were looked at in black frames of these sizes, a camera each."""
    frames = [Frame(np.zeros((height, width), np.uint8), 'gray') for width, height in sizes]
    streams = [Stream() for _ in frames]
    for i in range(rounds):
        search.detect(detector, frames, streams, [i / 10] * len(frames))
    return [len(stream.windows) for stream in streams]


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
def test_cameras_share_the_windows_evenly_and_each_has_one(far, budget, sizes, expected):
    assert looked(Search(scan=True, windows_per_frame=budget), far, sizes) == expected


def assert_same_bits(first, second):
    for name in ('boxes', 'keypoints', 'scores'):
        np.testing.assert_array_equal(
            getattr(first, name).view(np.uint32), getattr(second, name).view(np.uint32)
        )


@pytest.mark.parametrize('tracking', [False, True])
def test_an_exhaustive_search_finds_bit_for_bit_what_the_detector_finds(
    far, scene, astronaut, tracking
):
    frames = [Frame.of(scene), Frame.of(astronaut)]
    streams = [Stream(), Stream()]
    expected = far.detect_batch(frames)
    for i in range(2):
        found = Search(tracking=tracking).detect(far, frames, streams, [i / 10] * 2)
        for faces, same in zip(found, expected):
            assert_same_bits(faces, same)
            ids = tuple(str(1 + j) for j in range(len(faces)))
            assert faces.ids == (ids if tracking else ('',) * len(faces))
    assert 'for faces from 48 pixels' in streams[0].in_words()
    assert 'within' not in streams[0].in_words()


@pytest.mark.parametrize('tracking', [False, True])
def test_a_scan_carries_faces_also_between_looks_and_tells_ids_only_if_asked(
    far, scene, tracking
):
    stream, search = Stream(), Search(scan=True, windows_per_frame=2, tracking=tracking)
    counts = []
    for i in range(14):
        (faces,) = search.detect(far, [Frame.of(scene)], [stream], [i / 10])
        counts.append(len(faces))
        if tracking:
            assert all(faces.ids) and len(set(faces.ids)) == len(faces)
        else:
            assert faces.ids == ('',) * len(faces)
        assert stream.in_words() == (
            f'2 of {len(stream.plan.windows)} windows, for faces from 48 pixels; '
            f'each window within {stream.bound} images'
        )
    assert counts[-1] >= 5


def test_the_search_may_change_with_every_frame(far, scene):
    stream, detector = Stream(), FaceDetector(threads=1)
    steps = itertools.product([0, 48, 60], [False, True], [scene, scene[:, 200:]])
    for i, (smallest, scan, picture) in enumerate(steps):
        detector.smallest_face = smallest
        search = Search(scan=scan, windows_per_frame=2, tracking=True)
        (faces,) = search.detect(detector, [Frame.of(picture)], [stream], [i / 10])
        assert len(faces) >= 3
        height, width = picture.shape[:2]
        assert stream.plan == detector.plan(width, height)
        total = len(stream.plan.windows)
        assert len(stream.windows) == (min(2, total) if scan else total)


def test_no_more_than_max_faces_come_out_of_a_scan(scene):
    detector = FaceDetector(threads=1, smallest_face=48, max_faces=2)
    stream, search = Stream(), Search(scan=True, windows_per_frame=1, tracking=True)
    for i in range(8):
        (faces,) = search.detect(detector, [Frame.of(scene)], [stream], [i / 10])
        assert len(faces) <= 2
    assert len(faces) == 2


@pytest.mark.parametrize(
    ('setting', 'sentence'),
    [
        ({'windows_per_frame': 0}, 'windows_per_frame is 0; it must be more than 0'),
        ({'windows_per_frame': -3}, 'windows_per_frame is -3; it must be more than 0'),
        ({'lost_after': 0.0}, 'track_lost_after is 0.0; it must be more than 0'),
    ],
)
def test_a_search_that_cannot_work_is_refused_with_name_and_value(setting, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        Search(**setting)


def test_a_scan_follows_people_who_walk_by_and_their_ids_stay(detector, far, scene, astronaut):
    samples = [
        (picture, GroundTruth.of(detector.detect(picture).boxes)) for picture in (scene, astronaut)
    ]
    stream, search = Stream(), Search(scan=True, windows_per_frame=3, tracking=True)
    present = found = changes = 0
    latest, pending = {}, None
    for i, frame in enumerate(walking_clip(cut_heads(samples), seconds=6.0)):
        (faces,) = search.detect(far, [Frame.of(frame.pixels)], [stream], [i / 10])
        pending = set(stream.plan.windows) if pending is None else pending
        pending -= {window[1:] for window in stream.windows}
        matched = match(faces, frame.truth, 0.3)
        for face, key in zip(matched, faces.ids):
            if face >= 0 and frame.truth.widths[face] >= 48:
                person = int(frame.persons[face])
                changes += latest.get(person, key) != key
                latest[person] = key
        if not pending:
            wanted = frame.visible & (frame.truth.widths >= 48)
            present += int(wanted.sum())
            found += int(wanted[matched[matched >= 0]].sum())
    assert present > 100
    assert found >= 0.85 * present
    assert changes <= 1
