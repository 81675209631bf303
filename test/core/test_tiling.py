"""Plans: the tiles in which all faces from a size up are seen."""

from math import nextafter

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from blazeface_ros.core.tiles import as_squares
from blazeface_ros.core.tiling import MOST_TILES, plan_tiles

SHARE = 1 / 14


@st.composite
def plans_and_faces(draw):
    """The plan of a frame, and the box of a face in it that is at least as large as asked for.

    Many of the faces are just too small for the tiles of a level, and many lie across the edge of a
    tile: those are the hardest.
    """
    width, height = draw(st.integers(64, 4096)), draw(st.integers(64, 4096))
    share = draw(st.sampled_from([1 / 14, 1 / 7]))
    plan = plan_tiles(width, height, draw(st.integers(1, 400)), share)
    # Nearer faces fill a frame many times as wide as high, and no smaller square shows more.
    longest, shortest = max(width, height), min(width, height)
    largest = nextafter(shortest * (1 if longest <= 2 * shortest else 0.6), 0)
    assume(plan.smallest_face <= largest)
    limits = {0.999 * share * tile.size for tile in plan.tiles}
    limits = sorted(size for size in limits if plan.smallest_face <= size <= largest)
    size = draw(st.floats(plan.smallest_face, largest) | st.sampled_from(limits or [largest]))

    def start(side, starts):
        edges = {0, side} | {edge for x, tile in starts for edge in (x, x + tile)}
        across = st.builds(
            lambda edge, share: edge - share * size, st.sampled_from(sorted(edges)), st.floats(0, 1)
        )
        return min(max(draw(st.floats(0, side - size) | across), 0), side - size)

    x0 = start(width, ((tile.x0, tile.size) for tile in plan.tiles))
    y0 = start(height, ((tile.y0, tile.size) for tile in plan.tiles))
    return plan, (x0, y0, x0 + size, y0 + size)


@settings(max_examples=300)
@given(plans_and_faces())
def test_every_face_from_the_size_asked_for_is_shown_reliably_by_a_tile(drawn):
    plan, box = drawn
    assert plan.shows_reliably(np.float32(box), as_squares(plan.tiles)).any()


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


@example(1, 2457, 351, False)  # just what the whole frame shows
@given(st.integers(1, 4096), st.integers(1, 4096), st.integers(0, 4096), st.booleans())
def test_the_whole_frame_comes_first_and_all_other_tiles_lie_inside_it(
    width, height, smallest, far
):
    plan = plan_tiles(width, height, smallest, 1 / 14 if far else 1 / 7)
    longest = max(width, height)
    assert plan.tiles[0] == ((width - longest) / 2, (height - longest) / 2, longest, 0)
    assert len(plan.tiles) <= MOST_TILES
    sizes = [tile.size for tile in plan.tiles]
    assert sizes == sorted(sizes, reverse=True)
    assert plan.finest == sizes[-1]
    for x0, y0, size, angle in plan.tiles[1:]:
        assert (x0, y0, size, angle) == (int(x0), int(y0), int(size), 0)
        assert size >= 1
        assert x0 >= 0 and y0 >= 0 and x0 + size <= width and y0 + size <= height
    assert len(set(plan.tiles)) == len(plan.tiles)
    if smallest == 0:
        assert len(plan.tiles) == 1
    assert bool(plan.note) == (smallest != 0 and plan.smallest_face != smallest)


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
