"""What the network sees of a frame."""

import numpy as np
import pytest

from blazeface_ros import Frame
from blazeface_ros.core.frame import RGB_POSITIONS
from blazeface_ros.core.sampling import sample
from blazeface_ros.core.tiles import Tile, letterbox


def seen(frame, tile, size=8):
    """The network's input, every value of which must be set."""
    out = np.full((3, size, size), np.nan, np.float32)
    sample(frame, tile, out)
    assert np.isfinite(out).all()
    return out


def as_colors(values):
    """From the network's -1 to 1 back to 0 to 255."""
    return (values + 1) * 127.5


def test_a_tile_is_seen_corner_to_corner_as_mediapipe_does():
    # A ramp: 4 grey levels a pixel. At half the size, pixel i shows the frame at 2 i.
    ramp = np.tile(np.arange(16, dtype=np.uint8) * 4, (16, 1))
    out = seen(Frame(ramp, 'gray'), Tile(0, 0, 16))
    np.testing.assert_allclose(as_colors(out[0, 0]), np.arange(8) * 8, atol=1e-3)


def test_a_tile_sees_its_own_place_and_between_pixels_what_lies_between():
    ramp = np.tile(np.arange(32, dtype=np.uint8) * 4, (32, 1))
    frame = Frame(ramp, 'gray')
    out = seen(frame, Tile(5.5, 3, 16))
    np.testing.assert_allclose(as_colors(out[0, 0]), (5.5 + np.arange(8) * 2) * 4, atol=1e-3)
    turned = seen(Frame(np.ascontiguousarray(ramp.T), 'gray'), Tile(3, 5.5, 16))
    np.testing.assert_array_equal(turned, out.transpose(0, 2, 1))


def test_outside_of_the_frame_the_network_sees_black():
    frame = Frame(np.full((4, 8, 3), 255, np.uint8))
    out = seen(frame, letterbox(8, 4))
    np.testing.assert_allclose(out[:, :2], -1)
    np.testing.assert_allclose(out[:, 2:6], 1)
    np.testing.assert_allclose(out[:, 6:], -1)


@pytest.mark.parametrize('corner', [(-100, 0), (0, -100), (100, 0), (0, 100)])
def test_a_tile_beside_the_frame_is_all_black(corner):
    frame = Frame(np.full((16, 16, 3), 255, np.uint8))
    np.testing.assert_array_equal(seen(frame, Tile(*corner, 16)), -1)


@pytest.mark.parametrize('channels', RGB_POSITIONS)
def test_every_layout_arrives_as_red_green_blue(channels):
    color = {'r': 10, 'g': 20, 'b': 30, 'a': 77}
    values = [20] if channels == 'gray' else [color[channel] for channel in channels]
    pixels = np.tile(np.uint8(values), (8, 8, 1))
    frame = Frame(pixels[..., 0] if channels == 'gray' else pixels, channels)
    expected = [20, 20, 20] if channels == 'gray' else [10, 20, 30]
    out = seen(frame, Tile(0, 0, 8))
    np.testing.assert_allclose(as_colors(out[:, 2, 2]), expected, atol=1e-3)


def test_padded_rows_are_seen_without_their_padding():
    padded = np.random.default_rng(0).integers(0, 255, (8, 11, 3), np.uint8)
    frame, copy = Frame(padded[:, :8]), Frame(padded[:, :8].copy())
    np.testing.assert_array_equal(seen(frame, Tile(1, 1, 6)), seen(copy, Tile(1, 1, 6)))


@pytest.mark.parametrize('reduction', [2, 4])
def test_a_reduced_frame_shows_the_same_place_as_the_whole_one(reduction):
    # Linear, so that the mean of some pixels is the value in the middle of them.
    x, y = np.meshgrid(np.arange(64), np.arange(64))
    pixels = (x + 2 * y).astype(np.uint8)
    means = pixels.reshape(64 // reduction, reduction, 64 // reduction, reduction).mean((1, 3))
    reduced = Frame(np.floor(means).astype(np.uint8), 'gray', reduction)
    tile = Tile(8, 12, 32)
    found, expected = (as_colors(seen(frame, tile)) for frame in (reduced, Frame(pixels, 'gray')))
    np.testing.assert_allclose(found, expected, atol=1)


def test_the_frame_is_not_altered():
    pixels = np.random.default_rng(0).integers(0, 255, (9, 7, 3), np.uint8)
    before = pixels.copy()
    seen(Frame(pixels), letterbox(7, 9))
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize('shape', [(1, 1), (1, 32766), (32766, 1), (2, 2)])
def test_something_is_seen_of_frames_of_odd_shapes(shape):
    frame = Frame(np.full(shape, 200, np.uint8), 'gray')
    assert seen(frame, letterbox(*shape[::-1]), 16).max() > -1
