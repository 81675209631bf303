"""The way from frames into the network's input and back."""

import numpy as np
import pytest

from blazeface_ros.core.tiles import (
    RGB_POSITIONS,
    Frame,
    Window,
    crop,
    judge,
    to_frame_coordinates,
    whole_frame,
)
from blazeface_ros.errors import ImageError


def seen(frame, window, size=8):
    out = np.full((3, size, size), np.nan, np.float32)
    crop(frame, window, out)
    return out


@pytest.mark.parametrize(
    ('width', 'height', 'expected'),
    [(640, 480, (0, -80, 640)), (480, 640, (-80, 0, 640)), (7, 7, (0, 0, 7)), (5, 2, (0, -1.5, 5))],
)
def test_the_letterbox_is_a_centred_square_as_large_as_the_longer_side(width, height, expected):
    frame = Frame(np.zeros((height, width, 3), np.uint8))
    assert whole_frame(3, frame) == Window(3, *expected)


def test_a_window_is_seen_corner_to_corner_as_mediapipe_does():
    # A ramp: 4 grey levels a pixel. At half the size, pixel i shows the frame at 2 i.
    ramp = np.tile(np.arange(16, dtype=np.uint8) * 4, (16, 1))
    out = seen(Frame(ramp, 'gray'), Window(0, 0, 0, 16))
    np.testing.assert_allclose((out[0, 0] + 1) * 127.5, np.arange(8) * 8, atol=1e-3)


def test_outside_of_the_frame_the_network_sees_black():
    frame = Frame(np.full((4, 8, 3), 255, np.uint8))
    out = seen(frame, whole_frame(0, frame))
    np.testing.assert_allclose(out[:, :2], -1)
    np.testing.assert_allclose(out[:, 2:6], 1)
    np.testing.assert_allclose(out[:, 6:], -1)


@pytest.mark.parametrize('channels', RGB_POSITIONS)
def test_every_layout_arrives_as_red_green_blue(channels):
    color = {'r': 10, 'g': 20, 'b': 30, 'a': 77}
    values = [20] if channels == 'gray' else [color[channel] for channel in channels]
    pixels = np.tile(np.uint8(values), (8, 8, 1))
    frame = Frame(pixels[..., 0] if channels == 'gray' else pixels, channels)
    expected = [20, 20, 20] if channels == 'gray' else [10, 20, 30]
    out = seen(frame, Window(0, 0, 0, 8))
    np.testing.assert_allclose((out[:, 2, 2] + 1) * 127.5, expected, atol=1e-3)
    np.testing.assert_array_equal(frame.to_bgr()[0, 0], expected[::-1])


def test_padded_rows_are_seen_without_their_padding():
    padded = np.random.default_rng(0).integers(0, 255, (8, 11, 3), np.uint8)
    frame, copy = Frame(padded[:, :8]), Frame(padded[:, :8].copy())
    np.testing.assert_array_equal(
        seen(frame, Window(0, 1, 1, 6)), seen(copy, Window(0, 1, 1, 6))
    )


def test_points_go_back_into_the_pixels_of_their_frame():
    points = np.float32([[[0, 0], [1, 0.5]], [[0.5, 0.5], [-1, 2]]])
    windows = np.float32([[100, -20, 200], [0, 0, 10]])
    expected = [[[100, -20], [300, 80]], [[5, 5], [-10, 20]]]
    np.testing.assert_allclose(to_frame_coordinates(points, windows), expected)


def test_a_bgr_copy_is_a_copy():
    frame = Frame(np.zeros((2, 2, 3), np.uint8))
    frame.to_bgr()[:] = 1
    assert not frame.pixels.any()


@pytest.mark.parametrize(
    'picture',
    [
        None,
        'picture.jpg',
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        Frame(np.zeros((4, 4, 3), np.uint8), 'gray'),
        Frame(np.zeros((4, 4, 3), np.uint8), 'rgba'),
    ],
    ids=['None', 'name', 'no channels', 'four channels', 'float', 'empty', 'gray', 'rgba'],
)
def test_what_is_no_picture_is_refused_with_what_it_is(picture):
    with pytest.raises(ImageError, match=r'a (bgr|gray|rgba) picture is a uint8 array .*, got '):
        Frame.of(picture)


def test_a_picture_too_large_to_be_sampled_is_refused_with_its_size():
    with pytest.raises(ImageError, match=r'a picture of 40000 x 1 is too large: .* 32766'):
        Frame.of(np.zeros((1, 40000, 3), np.uint8))


def judged(box, square):
    """Whether a box found in a square of a frame of 400 x 300 is of a part, and shown well.

    The finest windows are 100 wide, and faces should be a tenth of their window.
    """
    points = np.zeros((1, 8, 2), np.float32)
    points[0, :2] = np.float32(box).reshape(2, 2)
    part, clear = judge(points, np.float32([square]), (400, 300), 100, 0.1)
    return bool(part[0]), bool(clear[0])


@pytest.mark.parametrize('box', [(-50, -60, 450, 350), (0, 0, 5, 5), (390, 100, 410, 120)])
def test_what_the_whole_frame_shows_is_neither_cut_nor_too_small(box):
    assert judged(box, (0, -50, 400)) == (False, True)


@pytest.mark.parametrize(
    ('box', 'clear'),
    [
        ((130, 130, 170, 170), True),
        ((103, 103, 140, 140), True),
        ((101, 130, 140, 170), False),
        ((130, 101, 170, 140), False),
        ((160, 130, 199, 170), False),
        ((130, 160, 170, 199), False),
        ((90, 90, 210, 210), False),
    ],
)
def test_a_box_at_the_edge_of_a_window_inside_the_frame_may_be_cut(box, clear):
    assert judged(box, (100, 100, 100)) == (True, clear)


@pytest.mark.parametrize(
    ('square', 'box'),
    [
        ((0, 0, 100), (-10, -5, 30, 30)),
        ((300, 200, 100), (370, 270, 410, 310)),
    ],
)
def test_at_the_edge_of_the_frame_a_box_may_reach_beyond(square, box):
    assert judged(box, square) == (True, True)


@pytest.mark.parametrize(
    ('size', 'width', 'clear'), [(200, 19, False), (200, 21, True), (100, 5, True)]
)
def test_what_is_too_small_for_a_window_is_left_to_the_finest(size, width, clear):
    assert judged((50, 50, 50 + width, 50 + width), (0, 0, size)) == (True, clear)
