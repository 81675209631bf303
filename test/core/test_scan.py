"""Which tiles a scan searches, and that none is forgotten."""

import itertools

import numpy as np
import pytest

from blazeface_ros import Frame
from blazeface_ros.core.scan import ScanOrder, bound, share_budget, tiles_around
from blazeface_ros.core.tiles import as_squares, letterbox
from blazeface_ros.core.tiling import plan_tiles

SHARE = 1 / 14
WIDTH, HEIGHT = 640, 360
#: Many tiles for a small frame.
PLAN = plan_tiles(WIDTH, HEIGHT, 10, SHARE)
NOBODY = np.empty((0, 4), np.float32)


def still():
    """A frame in which nothing moves."""
    return Frame(np.full((HEIGHT, WIDTH), 90, np.uint8), 'gray')


def moving_in(tile, i):
    """The frame number i, in which only this tile changes."""
    x0, y0, size = map(int, tile[:3])
    frame = still()
    frame.pixels[y0 : y0 + size, x0 : x0 + size] = 255 * (i % 2)
    return frame


# Whose turn it is


@pytest.mark.parametrize('known', [0, 1, 20])
def test_however_many_faces_are_known_one_tile_is_left_for_the_plan(known):
    order = ScanOrder()
    places = np.float32([[40 * i, 40 * (i % 8)] for i in range(known)]).reshape(-1, 2) % 320
    expected = np.concatenate([places, places + 20], axis=1)
    chosen = order.choose(PLAN, expected, still(), 3)
    assert len(chosen) == 3
    assert chosen[-1] in PLAN.tiles
    alone = [order.choose(PLAN, expected, still(), 1)[0] for _ in range(6)]
    assert len({chosen[-1], *alone}) == 7, 'each time another one'
    assert set(alone) <= set(PLAN.tiles)


def test_a_tile_around_a_known_face_that_is_also_one_of_the_plan_is_searched_once_a_frame():
    order = ScanOrder()
    plan = plan_tiles(1920, 1080, 48, SHARE)
    near = np.float32([[500, 200, 1000, 700]])  # only the whole frame holds it
    frame = Frame(np.zeros((1080, 1920), np.uint8), 'gray')
    for _ in range(bound(plan)):
        chosen = order.choose(plan, near, frame, 3)
        assert chosen[0] == plan.tiles[0]
        assert chosen.count(plan.tiles[0]) == 1
        assert 2 <= len(set(chosen)) == len(chosen) <= 3


def test_no_tile_is_chosen_twice_where_there_are_fewer_than_the_budget():
    near = np.float32([[100, 50, 400, 350]])
    for expected in (NOBODY, near):
        chosen = ScanOrder().choose(plan_tiles(WIDTH, HEIGHT, 0, SHARE), expected, still(), 5)
        assert chosen == [letterbox(WIDTH, HEIGHT)]


def frames_until_searched(target, moving):
    """How many frames a scan of one tile a frame takes until it searches this one."""
    order = ScanOrder()
    for i in itertools.count(1):
        frame = moving_in(target, i) if moving else still()
        if target in order.choose(PLAN, NOBODY, frame, 1):
            return i


@pytest.mark.parametrize('index', [-1, -10, len(PLAN.tiles) // 2])
def test_a_tile_in_which_something_moves_is_searched_sooner_than_its_turn_comes(index):
    target = PLAN.tiles[index]
    assert frames_until_searched(target, moving=True) <= 8
    assert frames_until_searched(target, moving=False) > 8


@pytest.mark.parametrize('channels', ['gray', 'bgr', 'rgba'])
@pytest.mark.parametrize('reduction', [1, 2])
def test_motion_is_seen_in_every_layout_and_in_reduced_frames(channels, reduction):
    target, order, searched = PLAN.tiles[-1], ScanOrder(), []
    for i in range(1, 10):
        gray = moving_in(target, i).pixels[::reduction, ::reduction]
        pixels = gray if channels == 'gray' else np.stack([gray] * len(channels), axis=-1)
        searched += order.choose(PLAN, NOBODY, Frame(pixels, channels, reduction), 1)
    assert target in searched


def test_noise_is_no_motion():
    random, order = np.random.default_rng(0), ScanOrder()
    quiet = ScanOrder()
    for _ in range(len(PLAN.tiles)):
        noise = random.integers(84, 97, (HEIGHT, WIDTH), np.uint8)
        chosen = order.choose(PLAN, NOBODY, Frame(noise, 'gray'), 1)
        assert chosen == quiet.choose(PLAN, NOBODY, still(), 1)


def test_with_another_plan_all_turns_begin_anew():
    order = ScanOrder()
    order.choose(PLAN, NOBODY, still(), 4)
    other = plan_tiles(WIDTH, HEIGHT, 12, SHARE)
    searched = set()
    for _ in range(bound(other)):
        searched |= set(order.choose(other, NOBODY, still(), 1))
    assert searched == set(other.tiles)


# Around known faces


def test_nobody_needs_no_tile():
    assert tiles_around(NOBODY, PLAN) == []


def test_faces_close_together_share_a_tile():
    boxes = np.float32([[100, 100, 120, 120], [125, 100, 145, 120]])
    assert len(tiles_around(boxes, PLAN)) == 1
    chosen = ScanOrder().choose(PLAN, boxes, still(), 3)
    assert plan_shows(chosen[0], boxes).all()
    # The two that are left go by turn and motion.
    assert set(chosen[1:]) <= set(PLAN.tiles)


def test_the_most_important_face_comes_first():
    boxes = np.float32([[300, 150, 310, 160], [30, 30, 40, 40], [600, 320, 610, 330]])
    for order in itertools.permutations(range(3)):
        first, *_ = tiles_around(boxes[list(order)], PLAN)
        assert plan_shows(first, boxes[order[0]])


@pytest.mark.parametrize('meeting', [0, 1, 2])
def test_faces_that_meet_are_searched_for_before_those_alone(meeting):
    places = [[30, 30, 40, 40], [300, 150, 310, 160], [600, 320, 610, 330]]
    x0, y0, x1, y1 = places[meeting]
    expected = np.float32([*places, [x0 + 7, y0, x1 + 7, y1]])
    chosen = ScanOrder().choose(PLAN, expected, still(), 2)
    assert plan_shows(chosen[0], expected[[meeting, 3]]).all()


def plan_shows(tile, boxes):
    """Whether a tile shows each of these faces."""
    return PLAN.shows_reliably(boxes, as_squares([tile])[0])


# A budget for several cameras


@pytest.mark.parametrize(
    ('budget', 'wanted', 'expected'),
    [
        (1, [11], [1]),
        (9, [11, 11, 11], [3, 3, 3]),
        (1, [11, 11, 11], [1, 1, 1]),
        (4, [11, 11, 11], [2, 1, 1]),
        # What one does not need goes to the others.
        (9, [11, 1, 11], [4, 1, 4]),
        (8, [1, 11], [1, 7]),
        (99, [11, 5], [11, 5]),
        (5, [], []),
    ],
)
def test_cameras_share_the_tiles_evenly_and_each_has_one(budget, wanted, expected):
    assert share_budget(budget, wanted) == expected
