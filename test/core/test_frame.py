"""Pictures as cameras give them: what is one, and copies of it to draw on."""

import numpy as np
import pytest

from blazeface_ros import Frame
from blazeface_ros.core.frame import RGB_POSITIONS
from blazeface_ros.errors import ImageError

#: A pixel of each channel.
COLOR = {'r': 10, 'g': 20, 'b': 30, 'a': 77}


def uniform(channels, height=8, width=8):
    """A frame of one colour."""
    if channels == 'gray':
        return Frame(np.full((height, width), COLOR['g'], np.uint8), channels)
    values = [COLOR[channel] for channel in channels]
    return Frame(np.tile(np.uint8(values), (height, width, 1)), channels)


@pytest.mark.parametrize('channels', RGB_POSITIONS)
def test_a_frame_of_every_layout_is_accepted_as_it_is(channels):
    frame = uniform(channels)
    assert Frame.from_picture(frame) is frame


def test_an_array_is_a_picture_in_bgr_order():
    pixels = np.zeros((3, 4, 3), np.uint8)
    frame = Frame.from_picture(pixels)
    assert frame.pixels is pixels
    assert (frame.channels, frame.reduction) == ('bgr', 1)
    assert (frame.width, frame.height) == (4, 3)


def test_a_reduced_frame_has_the_size_of_the_pictures_it_stands_for():
    frame = Frame(np.zeros((30, 40), np.uint8), 'gray', reduction=4)
    assert (frame.width, frame.height) == (160, 120)
    assert frame.to_bgr().shape == (120, 160, 3)
    assert frame.to_bgr(0.25).shape == (30, 40, 3)


@pytest.mark.parametrize('channels', RGB_POSITIONS)
@pytest.mark.parametrize('scale', [1.0, 0.5, 2.0])
def test_every_layout_is_copied_as_blue_green_red_at_any_scale(channels, scale):
    bgr = uniform(channels, 10, 20).to_bgr(scale)
    assert bgr.shape == (10 * scale, 20 * scale, 3)
    assert bgr.dtype == np.uint8
    expected = [20, 20, 20] if channels == 'gray' else [30, 20, 10]
    np.testing.assert_array_equal(bgr.reshape(-1, 3), np.tile(expected, (bgr.size // 3, 1)))


@pytest.mark.parametrize('channels', RGB_POSITIONS)
def test_a_copy_is_free_to_be_drawn_on(channels):
    frame = uniform(channels)
    before = frame.pixels.copy()
    copy = frame.to_bgr()
    assert copy.flags.c_contiguous
    copy[:] = 255
    np.testing.assert_array_equal(frame.pixels, before)


def test_a_copy_is_never_smaller_than_a_pixel():
    assert uniform('bgr').to_bgr(0.01).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ('picture', 'got'),
    [
        (None, 'NoneType'),
        ('picture.jpg', 'str'),
        (np.zeros((4, 4), np.uint8), r'uint8 \[4, 4\]'),
        (np.zeros((4, 4, 4), np.uint8), r'uint8 \[4, 4, 4\]'),
        (np.zeros((4, 4, 3), np.float32), r'float32 \[4, 4, 3\]'),
        (np.zeros((0, 4, 3), np.uint8), r'uint8 \[0, 4, 3\]'),
        (np.zeros((4, 0, 3), np.uint8), r'uint8 \[4, 0, 3\]'),
        (Frame(np.zeros((4, 4, 3), np.uint8), 'gray'), r'uint8 \[4, 4, 3\]'),
        (Frame(np.zeros((4, 4, 3), np.uint8), 'rgba'), r'uint8 \[4, 4, 3\]'),
        (Frame(np.zeros((4, 4), np.uint8), 'bgr'), r'uint8 \[4, 4\]'),
    ],
    ids=[
        *('None', 'name', 'no channels', 'four channels', 'float', 'no rows', 'no columns'),
        *('gray', 'rgba', 'bgr'),
    ],
)
def test_what_is_no_picture_is_refused_with_what_it_is(picture, got):
    with pytest.raises(ImageError, match=f'got {got}$'):
        Frame.from_picture(picture)


@pytest.mark.parametrize('shape', [(1, 40000), (40000, 1)])
def test_a_picture_too_large_to_be_sampled_is_refused_with_its_size(shape):
    height, width = shape
    with pytest.raises(ImageError, match=f'{width} x {height}.* 32766'):
        Frame.from_picture(np.zeros((*shape, 3), np.uint8))
