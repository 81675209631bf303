"""JPEG and PNG as camera images, at full and at reduced size."""

import cv2
import numpy as np
import pytest
from ros_fixtures import compressed_message, encoded
from std_msgs.msg import Header

from blazeface_ros.errors import ImageError
from blazeface_ros.ros.images import ImageReader, jpeg_from_bgr

pytestmark = pytest.mark.ros


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_gray_and_alpha_are_read_right(suffix, astronaut):
    reader = ImageReader()
    gray = cv2.cvtColor(astronaut, cv2.COLOR_BGR2GRAY)
    frame = reader.read(encoded(gray, suffix), None)
    assert np.abs(frame.pixels.astype(int) - gray[..., None]).mean() < 2
    if suffix == '.png':
        transparent = np.dstack([astronaut, np.zeros_like(gray)])
        deep = astronaut.astype(np.uint16) * 257
        for pixels in (transparent, deep):
            frame = reader.read(encoded(pixels, suffix), None)
            np.testing.assert_array_equal(frame.pixels, astronaut)


def test_a_jpeg_is_decoded_as_small_as_the_network_needs_from_the_second_on(detector, scene):
    reader = ImageReader()
    large = cv2.resize(scene, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    first, second = (reader.read(encoded(large), 256) for _ in range(2))
    assert first.pixels.shape == (1440, 2560, 3)
    assert second.pixels.shape == (180, 320, 3)
    assert (second.width, second.height) == (2560, 1440)
    found, expected = detector.detect(second), detector.detect(first)
    assert len(found) == len(expected) == 5
    limit = 0.005 * 2560
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=limit)
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=limit)


def test_a_camera_that_changes_its_size_is_read_in_full_again(scene, astronaut):
    reader = ImageReader()
    for picture in (scene, astronaut, scene):
        frame = reader.read(encoded(picture), 128)
        assert (frame.height, frame.width) == picture.shape[:2]


@pytest.mark.parametrize('size', [(719, 1279), (721, 1283), (1025, 577)])
def test_odd_sizes_are_reduced_too(size, scene):
    reader = ImageReader()
    picture = cv2.resize(scene, size[::-1])
    frames = [reader.read(encoded(picture), 128) for _ in range(2)]
    assert frames[1].reduction == 8
    assert abs(frames[1].width - size[1]) < 8


def test_all_pixels_are_read_where_all_are_needed(scene):
    reader = ImageReader()
    for _ in range(2):
        assert reader.read(encoded(scene), None).pixels.shape == scene.shape


@pytest.mark.parametrize('data', [b'', b'no picture', b'\xff\xd8\xff\xe0 cut short'])
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(ImageError, match="bytes of format 'jpeg' are no picture"):
        ImageReader().read(compressed_message(data), 256)


def test_a_picture_becomes_a_compressed_message(scene):
    message = jpeg_from_bgr(scene, Header(frame_id='camera'), 90)
    assert message.header.frame_id == 'camera'
    frame = ImageReader().read(message, None)
    assert np.abs(frame.pixels.astype(int) - scene).mean() < 3
