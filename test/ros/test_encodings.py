"""Every encoding of raw images against the picture that it was made from."""

import cv2
import numpy as np
import pytest
from ros_fixtures import image_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from blazeface_ros.errors import ImageError
from blazeface_ros.ros.images import ENCODINGS, frame_from_message, message_from_bgr, read_image

pytestmark = pytest.mark.ros


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


SMALL_SIZES = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (4, 4), (2, 6), (6, 2), (1, 9), (9, 1)]
#: The smallest sides, in rows and columns, and whether both must be even.
SHORTEST_SIDES = {'bayer': (3, 3, False), 'yuv': (1, 2, True), 'nv': (2, 2, True)}


def fits(encoding, size):
    """Whether a picture of so many rows and columns can have an encoding."""
    family = {'uyvy': 'yuv', 'yuyv': 'yuv'}.get(encoding, encoding)
    for name, (rows, columns, even) in SHORTEST_SIDES.items():
        if family.startswith(name):
            # Two rows share nothing in packed YUV.
            odd = size[1] % 2 or (name == 'nv' and size[0] % 2)
            return size[0] >= rows and size[1] >= columns and not (even and odd)
    return True


def gray_message(encoding, size, value=128):
    """A picture of one gray in an encoding."""
    kind = ENCODINGS[encoding]
    rows, row = size[0] * kind.rows // 2, size[1] * kind.pixel * kind.bytes
    message = image_message(np.full((max(rows, 1), row), value, np.uint8), encoding)
    message.height, message.width = size
    return message


@every_encoding
@pytest.mark.parametrize('size', SMALL_SIZES)
def test_the_smallest_pictures_are_read_if_they_can_be_in_their_encoding(encoding, size):
    message = gray_message(encoding, size)
    if fits(encoding, size):
        frame = frame_from_message(message)
        assert (frame.height, frame.width) == size
        # Y of 128 is a gray of 130, as studio black is 16.
        expected = 130 if encoding.startswith(('yuv', 'uyvy', 'yuyv', 'nv')) else 128
        np.testing.assert_array_equal(frame.to_bgr(), np.full((*size, 3), expected))
    else:
        sentence = f'{size[1]} x {size[0]} cannot be {encoding}: sides must be'
        with pytest.raises(ImageError, match=sentence):
            frame_from_message(message)


def test_most_encodings_have_no_smallest_size():
    assert [fits('bgr8', size) for size in SMALL_SIZES] == [True] * len(SMALL_SIZES)
    assert [size for size in SMALL_SIZES if fits('nv12', size)] == [(2, 2), (4, 4), (2, 6), (6, 2)]


def test_the_last_row_needs_no_padding():
    message = image_message(np.ones((3, 4, 3), np.uint8), padding=4)
    del message.data[-4:]
    np.testing.assert_array_equal(frame_from_message(message).pixels, np.ones((3, 4, 3)))


def test_a_raw_image_is_read_whole_however_few_pixels_are_needed(scene):
    frame = read_image(image_message(scene), 128)
    np.testing.assert_array_equal(frame.pixels, scene)


def test_a_picture_becomes_an_image_message():
    pixels = np.random.default_rng(4).integers(0, 255, (3, 5, 3), np.uint8)
    header = Header(frame_id='camera')
    message = message_from_bgr(pixels, header)
    assert (message.header, message.encoding, message.step) == (header, 'bgr8', 15)
    np.testing.assert_array_equal(frame_from_message(message).pixels, pixels)


def broken(**changes):
    message = image_message(np.zeros((4, 6, 3), np.uint8))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ('message', 'sentence'),
    [
        (broken(step=0), "step is 0, but a row of 6 pixels in 'bgr8' has 18 bytes"),
        (broken(step=17), 'step is 17'),
        (broken(width=0), 'width 0, height 4'),
        (broken(height=0), 'width 6, height 0'),
        (broken(height=5), '72 bytes of data are too few: 5 rows with step 18 need at least 90'),
        (broken(height=2**32 - 1, step=2**32 - 1), '72 bytes of data are too few'),
        (broken(width=2**32 - 1), 'step is 18'),
        (broken(encoding='purple'), "encoding 'purple' is unknown; supported are bgr8, rgb8"),
        (broken(encoding=''), "encoding '' is unknown"),
        (broken(encoding='mono16', step=11), "step is 11, but a row of 6 pixels in 'mono16'"),
        (Image(), "encoding '' is unknown"),
    ],
)
def test_a_broken_image_is_refused_with_what_is_wrong(message, sentence):
    with pytest.raises(ImageError, match=sentence):
        frame_from_message(message)
