"""JPEG and PNG as camera images, at full and at reduced size."""

import cv2
import numpy as np
import pytest
from ros_fixtures import compressed_message, encoded
from std_msgs.msg import Header

from blazeface_ros.errors import ImageError
from blazeface_ros.ros.images import jpeg_from_bgr, read_image

pytestmark = pytest.mark.ros


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_gray_and_alpha_are_read_right(suffix, astronaut):
    gray = cv2.cvtColor(astronaut, cv2.COLOR_BGR2GRAY)
    frame = read_image(encoded(gray, suffix))
    assert np.abs(frame.pixels.astype(int) - gray[..., None]).mean() < 2
    if suffix == '.png':
        transparent = np.dstack([astronaut, np.zeros_like(gray)])
        deep = astronaut.astype(np.uint16) * 257
        for pixels in (transparent, deep):
            frame = read_image(encoded(pixels, suffix))
            np.testing.assert_array_equal(frame.pixels, astronaut)


def test_a_jpeg_is_decoded_as_small_as_the_network_needs(detector, scene):
    large = cv2.resize(scene, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    whole, reduced = read_image(encoded(large)), read_image(encoded(large), 256)
    assert whole.pixels.shape == (1440, 2560, 3)
    assert reduced.pixels.shape == (180, 320, 3)
    assert (reduced.width, reduced.height) == (2560, 1440)
    found, expected = detector.detect(reduced), detector.detect(whole)
    assert len(found) == len(expected) == 5
    limit = 0.005 * 2560
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=limit)
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=limit)


@pytest.mark.parametrize('size', [(719, 1279), (721, 1283), (1025, 577)])
def test_odd_sizes_are_reduced_too(size, scene):
    picture = cv2.resize(scene, size[::-1])
    frame = read_image(encoded(picture), 128)
    assert frame.reduction == 8
    assert abs(frame.width - size[1]) < 8


def test_all_pixels_are_read_where_all_are_needed(scene):
    for _ in range(2):
        assert read_image(encoded(scene)).pixels.shape == scene.shape


@pytest.mark.parametrize(
    ('data', 'sentence'),
    [
        (b'', '0 bytes are no picture; supported are pictures in JPEG and PNG'),
        (b'no picture', '10 bytes begin with 6e 6f'),
        (b'\xff\xd8\xff\xe0 cut short', 'the header of a JPEG cannot be read'),
        (cv2.imencode('.bmp', np.zeros((9, 9, 3), np.uint8))[1], 'BMP are not read here'),
        (cv2.imencode('.tiff', np.zeros((9, 9, 3), np.uint8))[1], 'TIFF are not read here'),
    ],
)
def test_what_is_no_jpeg_and_no_png_is_refused(data, sentence):
    with pytest.raises(ImageError, match=sentence):
        read_image(compressed_message(data), 256)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_a_picture_above_the_limit_is_refused_and_one_at_the_limit_is_read(suffix, scene):
    height, width = scene.shape[:2]
    message = encoded(scene, suffix)
    assert read_image(message, max_pixels=height * width).pixels.shape == scene.shape
    with pytest.raises(ImageError, match='max_image_pixels sets this limit'):
        read_image(message, max_pixels=height * width - 1)


def test_a_picture_becomes_a_compressed_message(scene):
    message = jpeg_from_bgr(scene, Header(frame_id='camera'), 90)
    assert message.header.frame_id == 'camera'
    frame = read_image(message)
    assert np.abs(frame.pixels.astype(int) - scene).mean() < 3
