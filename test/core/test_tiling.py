"""Plans: the tiles in which all faces from a size up are seen."""

import sys

import numpy as np
import pytest

from blazeface_ros.core.tiles import as_squares
from blazeface_ros.core.tiling import MOST_TILES, plan_tiles

SHARE = 1 / 14
#: Calls of functions that a plan may take: some microseconds each.
MOST_CALLS = 20_000


@pytest.mark.parametrize(
    ('width', 'height', 'smallest'),
    [(1280, 720, 11), (1920, 1080, 18), (1920, 1080, 32), (3840, 2160, 64), (2094, 2224, 13)],
)
def test_faces_just_too_small_for_larger_tiles_are_shown_wherever_the_edges_of_finer_ones_are(
    width, height, smallest
):
    plan = plan_tiles(width, height, smallest, SHARE)
    squares = as_squares(plan.tiles)
    finest, larger = sorted({tile.size for tile in plan.tiles})[:2]
    size = 0.9995 * SHARE * larger
    starts = [np.unique(squares[squares[:, 2] == finest, axis]) for axis in (0, 1)]
    # In the middle of where two neighbours overlap, and anywhere along that line.
    across = [(low[1:] + low[:-1] + finest - size) / 2 for low in starts]
    along = [np.linspace(0, side - size, 80) for side in (width, height)]
    for columns, rows in ((across[0], along[1]), (along[0], across[1])):
        low = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 1, 2)
        boxes = np.concatenate([low, low + size], axis=-1).astype(np.float32)
        assert plan.shows_reliably(boxes, squares).any(axis=1).all()


def test_without_a_smallest_face_the_whole_frame_is_all_and_nothing_is_noted():
    plan = plan_tiles(1920, 1080, 0, SHARE)
    assert plan.tiles == ((0, -420, 1920, 0),)
    assert plan.smallest_face == pytest.approx(1920 / 14)
    assert plan.note == ''


def test_the_finest_tiles_are_as_large_as_the_smallest_face_allows():
    plan = plan_tiles(1920, 1080, 48, SHARE)
    assert plan.finest == 48 * 14
    assert (plan.smallest_face, plan.note) == (48, '')


def test_a_smallest_face_that_takes_too_many_tiles_is_raised_and_the_note_says_to_what():
    plan = plan_tiles(3840, 2160, 1, SHARE)
    assert MOST_TILES / 2 < len(plan.tiles) <= MOST_TILES
    assert 16 < plan.smallest_face < 32
    for told in ('smallest_face is 1,', str(MOST_TILES), '3840 x 2160', _in_pixels(plan)):
        assert told in plan.note


@pytest.mark.parametrize('size', [(3000, 1), (20000, 60)])
def test_the_note_says_what_is_searched_also_where_only_the_whole_frame_is_left(size):
    plan = plan_tiles(*size, 10, SHARE)
    assert len(plan.tiles) == 1
    assert plan.smallest_face == pytest.approx(max(size) / 14)
    assert _in_pixels(plan) in plan.note


def test_a_smallest_face_larger_than_what_the_whole_frame_shows_is_noted():
    plan = plan_tiles(640, 480, 100, SHARE)
    assert plan.tiles == ((0, -80, 640, 0),)
    for told in ('smallest_face is 100,', '640 x 480', _in_pixels(plan)):
        assert told in plan.note


def _in_pixels(plan):
    return f'{plan.smallest_face:.0f} pixels'


def test_plans_are_told_apart_by_what_they_are_for():
    plan = plan_tiles(640, 480, 20, SHARE)
    assert plan == plan_tiles(640, 480, 20, SHARE)
    for other in ((480, 640, 20, SHARE), (640, 480, 21, SHARE), (640, 480, 20, 1 / 7)):
        assert plan != plan_tiles(*other)


@pytest.mark.parametrize('size', [(640, 480), (32766, 32766), (32766, 1), (1, 32766), (32766, 20)])
def test_a_plan_takes_few_steps_however_large_the_frame_and_small_the_face(size):
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ('call', 'c_call')

    plan_tiles.cache_clear()
    sys.setprofile(count)
    try:
        plan = plan_tiles(*size, 1, SHARE)
    finally:
        sys.setprofile(None)
    assert len(plan.tiles) <= MOST_TILES
    assert calls < MOST_CALLS
