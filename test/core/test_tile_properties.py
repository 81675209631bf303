"""What holds of all tiles, plans and scans."""

from math import nextafter

import numpy as np
import pytest
from core_support import faces_in
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from blazeface_ros import Frame
from blazeface_ros.core.scan import ScanOrder, bound, share_budget, tiles_around
from blazeface_ros.core.tiles import EDGE_MARGIN, as_squares, letterbox, reliable_in_tile
from blazeface_ros.core.tiling import MOST_TILES, plan_tiles
from blazeface_ros.core.tracking import Tracker

pytestmark = pytest.mark.hypothesis

SHARE = 1 / 14

# Tiles


@st.composite
def faces_and_tiles(draw):
    """A frame, a tile inside it and a face inside the frame."""
    width, height = draw(st.integers(32, 4096)), draw(st.integers(32, 4096))
    side = draw(st.integers(8, min(width, height)))
    x0, y0 = draw(st.integers(0, width - side)), draw(st.integers(0, height - side))
    face = draw(st.floats(1, min(width, height)))
    x, y = draw(st.floats(0, width - face)), draw(st.floats(0, height - face))
    return (width, height), (x0, y0, side), np.float32([x, y, x + face, y + face])


@given(faces_and_tiles(), st.integers(8, 4096), st.sampled_from([1 / 14, 1 / 7]))
def test_a_face_that_a_tile_shows_reliably_lies_whole_in_it(drawn, finest, share):
    frame_size, (x0, y0, side), box = drawn
    square = np.float32([x0, y0, side])
    assume(reliable_in_tile(box, square, frame_size, finest, share))
    room = 0.01  # for rounding
    assert x0 - room <= box[0] and box[2] <= x0 + side + room
    assert y0 - room <= box[1] and box[3] <= y0 + side + room
    assert side <= finest or box[2] - box[0] >= share * side * 0.999


@given(faces_and_tiles(), st.integers(8, 4096), st.sampled_from([1 / 14, 1 / 7]))
def test_a_face_well_inside_a_tile_and_large_enough_is_shown_reliably(drawn, finest, share):
    frame_size, (x0, y0, side), box = drawn
    # Move the face to where the tile keeps its margin around it.
    width = min(float(box[2] - box[0]), side * (1 - 2.1 * EDGE_MARGIN))
    assume(side <= finest or width >= share * side * 1.001)
    room = side - width
    low = np.float32([x0 + room / 2, y0 + room / 2])
    inside = np.concatenate([low, low + np.float32(width)])
    assert reliable_in_tile(inside, np.float32([x0, y0, side]), frame_size, finest, share)


# Plans


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


# Scans

WIDTH, HEIGHT = 640, 360
#: Many tiles for a small frame.
SCAN_PLAN = plan_tiles(WIDTH, HEIGHT, 10, SHARE)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    budget=st.integers(1, 8),
    people=st.integers(0, 12),
    mover=st.sampled_from(['nothing', 'one place', 'everything', 'all but one tile']),
)
def test_each_tile_has_its_turn_within_the_bound_whatever_moves(seed, budget, people, mover):
    random, order, tracker = np.random.default_rng(seed), ScanOrder(), Tracker()
    last_search = dict.fromkeys(SCAN_PLAN.tiles, 0)
    corner = random.uniform(0, (WIDTH - 40, HEIGHT - 40), (people, 2))
    for i in range(1, 2 * bound(SCAN_PLAN) + 1):
        frame = Frame(np.full((HEIGHT, WIDTH), 90, np.uint8), 'gray')
        if mover == 'one place':
            frame.pixels[:60, :60] = 255 * (i % 2)
        elif mover == 'everything':
            frame.pixels[:] = random.integers(0, 255)
        elif mover == 'all but one tile':
            left, top = map(int, SCAN_PLAN.tiles[-1][:2])
            frame.pixels[:top] = frame.pixels[:, :left] = 255 * (i % 2)
        chosen = order.choose(SCAN_PLAN, tracker.expected(i / 10), frame, budget)
        assert 1 <= len(chosen) <= budget
        assert len(set(chosen)) == len(chosen)
        for tile in set(chosen) & set(last_search):
            last_search[tile] = i
        assert i - min(last_search.values()) < bound(SCAN_PLAN)
        corner += random.normal(0, 2, (people, 2))
        tracker.update(faces_in(np.concatenate([corner, corner + 30], axis=1)), i / 10)


@st.composite
def plans_and_known_faces(draw):
    """A plan, and boxes of faces in its frames that are at least as large as asked for."""
    width, height = draw(st.sampled_from([(1920, 1080), (1080, 1920), (3840, 1080), (640, 480)]))
    plan = plan_tiles(width, height, draw(st.integers(8, 90)), SHARE)
    boxes = []
    for _ in range(draw(st.integers(1, 6))):
        size = draw(st.floats(plan.smallest_face, min(width, height) * 0.9))
        x0, y0 = draw(st.floats(0, width - size)), draw(st.floats(0, height - size))
        boxes.append((x0, y0, x0 + size, y0 + size))
    return plan, np.float32(boxes)


@settings(max_examples=150)
@given(plans_and_known_faces())
def test_tiles_around_known_faces_show_each_of_them_reliably(drawn):
    plan, boxes = drawn
    tiles = tiles_around(boxes, plan)
    assert len(set(tiles)) == len(tiles) <= len(boxes)
    assert plan.shows_reliably(boxes[:, None], as_squares(tiles)).any(axis=1).all()
    for x0, y0, size, angle in set(tiles) - {letterbox(plan.width, plan.height)}:
        assert angle == 0
        assert x0 >= 0 and y0 >= 0 and x0 + size <= plan.width and y0 + size <= plan.height


@given(st.integers(1, 200), st.lists(st.integers(1, 160), max_size=8))
def test_no_tile_of_the_budget_is_lost_or_given_twice(budget, wanted):
    shares = share_budget(budget, wanted)
    assert all(1 <= share <= most for share, most in zip(shares, wanted, strict=True))
    assert sum(shares) == max(len(wanted), min(budget, sum(wanted)))
    hungry = [share for share, most in zip(shares, wanted) if share < most]
    if hungry:
        assert max(shares) - min(hungry) <= 1
