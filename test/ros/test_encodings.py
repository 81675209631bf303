"""Every encoding against the picture it was made from; JPEG and PNG at full and reduced size."""

import array

import cv2
import numpy as np
import pytest
from ros_fixtures import image_message
from sensor_msgs.msg import CompressedImage

from blazeface_ros.errors import ImageError
from blazeface_ros.ros.images import ENCODINGS, CompressedReader, frame_from_message, jpeg_from_bgr


def luma_and_chroma(bgr):
    """Y [H, W], and U, V [H/2, W/2] of a picture, by OpenCV's conversion to I420."""
    height, width = bgr.shape[:2]
    planes = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).ravel()
    luma, u, v = np.split(planes, [height * width, height * width * 5 // 4])
    half = (height // 2, width // 2)
    return luma.reshape(height, width), u.reshape(half), v.reshape(half)


def packed_yuv(bgr, order):
    """Four bytes for each two pixels, in an order such as 'uyvy'."""
    luma, u, v = luma_and_chroma(bgr)
    lumas = iter((luma[:, ::2], luma[:, 1::2]))
    chroma = {'u': np.repeat(u, 2, axis=0), 'v': np.repeat(v, 2, axis=0)}
    planes = [next(lumas) if letter == 'y' else chroma[letter] for letter in order]
    return np.stack(planes, axis=-1).reshape(bgr.shape[0], -1)


def semi_planar_yuv(bgr, order):
    luma, u, v = luma_and_chroma(bgr)
    pairs = np.stack([u, v] if order == 'uv' else [v, u], axis=-1)
    return np.concatenate([luma, pairs.reshape(-1, luma.shape[1])])


def mosaic(bgr, pattern):
    """A Bayer picture: `pattern` names the colours of each 2 x 2 pixels, row by row."""
    raw = np.empty(bgr.shape[:2], bgr.dtype)
    for i, color in enumerate(pattern):
        rows, columns = slice(i // 2, None, 2), slice(i % 2, None, 2)
        raw[rows, columns] = bgr[rows, columns, 'bgr'.index(color)]
    return raw


def encode(bgr, encoding, big_endian=False):
    """The rows of a picture in an encoding, as bytes."""
    gray = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    alpha = np.full(gray.shape, 17, np.uint8)
    sixteen = '>u2' if big_endian else '<u2'
    if encoding.startswith('bayer'):
        raw = mosaic(bgr, encoding[6:10])
        return raw if encoding.endswith('8') else (raw.astype(np.uint16) * 257).astype(sixteen)
    return {
        'bgr8': lambda: bgr,
        '8UC3': lambda: bgr,
        'rgb8': lambda: bgr[..., ::-1],
        'bgra8': lambda: np.dstack([bgr, alpha]),
        '8UC4': lambda: np.dstack([bgr, alpha]),
        'rgba8': lambda: np.dstack([bgr[..., ::-1], alpha]),
        'mono8': lambda: gray,
        '8UC1': lambda: gray,
        'mono16': lambda: (gray.astype(np.uint16) * 257).astype(sixteen),
        '16UC1': lambda: (gray.astype(np.uint16) * 257).astype(sixteen),
        'yuv422': lambda: packed_yuv(bgr, 'uyvy'),
        'uyvy': lambda: packed_yuv(bgr, 'uyvy'),
        'yuv422_yuy2': lambda: packed_yuv(bgr, 'yuyv'),
        'yuyv': lambda: packed_yuv(bgr, 'yuyv'),
        'nv12': lambda: semi_planar_yuv(bgr, 'uv'),
        'nv21': lambda: semi_planar_yuv(bgr, 'vu'),
    }[encoding]()


def message_in(bgr, encoding, padding=0, big_endian=False):
    rows = np.ascontiguousarray(encode(bgr, encoding, big_endian))
    message = image_message(rows, encoding, padding)
    message.height, message.width = bgr.shape[:2]
    message.is_bigendian = int(big_endian)
    return message


def in_gray(bgr):
    return cv2.cvtColor(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


GRAY = ('mono8', '8UC1', 'mono16', '16UC1')
every_encoding = pytest.mark.parametrize('encoding', ENCODINGS)


@every_encoding
@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize('big_endian', [False, True])
def test_a_picture_comes_back_out_of_its_message(encoding, padding, big_endian, astronaut):
    frame = frame_from_message(message_in(astronaut, encoding, padding, big_endian))
    assert (frame.width, frame.height) == (512, 512)
    expected = in_gray(astronaut) if encoding in GRAY else astronaut
    error = np.abs(frame.to_bgr().astype(int) - expected)
    subsampled = encoding.startswith(('bayer', 'yuv', 'uyvy', 'yuyv', 'nv'))
    assert error.mean() < (4 if subsampled else 0.01)


@every_encoding
def test_faces_are_the_same_in_every_encoding(encoding, detector, scene):
    found = detector.detect(frame_from_message(message_in(scene, encoding)))
    expected = detector.detect(in_gray(scene) if encoding in GRAY else scene)
    assert len(found) == len(expected)
    limit = 0.01 * max(scene.shape)
    for box, keypoints in zip(found.boxes, found.keypoints):
        nearest = np.abs(expected.boxes - box).max(axis=1).argmin()
        np.testing.assert_allclose(box, expected.boxes[nearest], atol=limit)
        np.testing.assert_allclose(keypoints, expected.keypoints[nearest], atol=limit)


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8', 'bgra8', 'rgba8', 'mono8', '8UC3'])
@pytest.mark.parametrize('padding', [0, 5])
def test_common_encodings_are_looked_at_where_they_lie(encoding, padding, scene):
    message = message_in(scene, encoding, padding)
    frame = frame_from_message(message)
    assert np.shares_memory(frame.pixels, np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize('encoding', ['yuyv', 'nv12', 'nv21', 'uyvy'])
def test_colours_shared_by_pixels_need_even_sides(encoding, astronaut):
    message = message_in(astronaut, encoding)
    message.width = 511
    with pytest.raises(ImageError, match=f'511 x 512 cannot be {encoding}: sides must be even'):
        frame_from_message(message)


@pytest.mark.parametrize('size', [(1, 1), (1, 2), (2, 1)])
def test_the_smallest_pictures_do_no_harm(size):
    for encoding in ENCODINGS:
        message = image_message(np.zeros((size[0] * 2, size[1] * 8), np.uint8))
        message.encoding, (message.height, message.width) = encoding, size
        try:
            frame = frame_from_message(message)
        except ImageError:
            continue
        assert (frame.height, frame.width) == size


# Compressed images


def compressed(data, file_format='jpeg'):
    return CompressedImage(format=file_format, data=array.array('B', data.tobytes()))


def encoded(pixels, suffix='.jpg'):
    return compressed(cv2.imencode(suffix, pixels)[1], suffix[1:])


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_gray_and_alpha_are_read_right(suffix, astronaut):
    reader = CompressedReader()
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
    reader = CompressedReader()
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
    reader = CompressedReader()
    for picture in (scene, astronaut, scene):
        frame = reader.read(encoded(picture), 128)
        assert (frame.height, frame.width) == picture.shape[:2]


@pytest.mark.parametrize('size', [(719, 1279), (721, 1283), (1025, 577)])
def test_odd_sizes_are_reduced_too(size, scene):
    reader = CompressedReader()
    picture = cv2.resize(scene, size[::-1])
    frames = [reader.read(encoded(picture), 128) for _ in range(2)]
    assert frames[1].reduction == 8
    assert abs(frames[1].width - size[1]) < 8


def test_all_pixels_are_read_where_all_are_needed(scene):
    reader = CompressedReader()
    for _ in range(2):
        assert reader.read(encoded(scene), None).pixels.shape == scene.shape


@pytest.mark.parametrize('data', [b'', b'no picture', b'\xff\xd8\xff\xe0 cut short'])
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(ImageError, match="bytes of format 'jpeg' are no picture"):
        CompressedReader().read(compressed(np.frombuffer(data, np.uint8)), 256)


def test_a_picture_becomes_a_compressed_message(scene):
    from std_msgs.msg import Header

    message = jpeg_from_bgr(scene, Header(frame_id='camera'), 90)
    assert message.header.frame_id == 'camera'
    frame = CompressedReader().read(message, None)
    assert np.abs(frame.pixels.astype(int) - scene).mean() < 3
