"""What is sent is written into a template: it reads as the message of `to_message` does."""

import weakref

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from blazeface_ros import Faces
from blazeface_ros.ros.messages import MOST_FRAME_ID, serialize, to_message

pytestmark = pytest.mark.ros

#: The bytes that stand for a stamp in a template, as a text.
STAMP_MARK = 'PMTSPSN\x0e'


class Text(str):
    """A text of which one can tell whether somebody still holds it."""


def some_faces(ids, seed=0):
    """Faces with these ids, anywhere in a large picture and around it."""
    rng = np.random.default_rng(seed)
    count = len(ids)
    return Faces(
        rng.uniform(-99, 4000, (count, 4)).astype(np.float32),
        rng.uniform(-99, 4000, (count, 6, 2)).astype(np.float32),
        rng.uniform(0, 1, count).astype(np.float32),
        tuple(ids),
    )


def header_at(seconds, nanoseconds, frame_id='camera'):
    header = Header(frame_id=frame_id)
    header.stamp.sec, header.stamp.nanosec = seconds, nanoseconds
    return header


def assert_sent_as_written(faces, header):
    """Faces take the short way, and read as those that take the long one."""
    sent = serialize(faces, header)
    assert isinstance(sent, bytes)
    expected = to_message(faces, header)
    assert deserialize_message(sent, Detection2DArray) == expected
    assert len(sent) == len(bytes(serialize_message(expected)))


@pytest.mark.parametrize('count', [0, 1, 2, 5, 100])
@pytest.mark.parametrize('frame_id', ['', 'camera', 'front_camera_optical_frame', 'Kamera ü/β'])
def test_any_number_of_faces_in_any_frame(count, frame_id):
    for seconds in (-1_700_000_000, 0, 1_700_000_000, 2**31 - 1):
        header = header_at(seconds, 999_999_999 - count, frame_id)
        assert_sent_as_written(some_faces([''] * count, seconds % 97), header)


def test_a_thousand_faces_with_ids():
    assert_sent_as_written(some_faces([f'f{i:04}' for i in range(1000)]), header_at(1, 2))


def test_ids_that_change_from_image_to_image():
    numbers = np.random.default_rng(3)
    for i in range(50):
        ids = [f'f{number:04}' for number in numbers.permutation(8) + i]
        assert_sent_as_written(some_faces(ids, i), header_at(i, i))


@pytest.mark.parametrize(
    'ids',
    [
        ('f0001', ''),
        ('', 'f0001'),
        ('f9999', 'f10000', 'f99999'),
        ('f10000', 'f9999', 'f99999'),
        ('a', 'bb', 'ccc', 'dddd', 'eeeee', 'ffffff', 'ggggggg', 'hhhhhhhh'),
        ('hhhhhhhh', 'ggggggg', 'ffffff', 'eeeee', 'dddd', 'ccc', 'bb', 'a'),
        ('a', 'b', 'ab', 'aa', 'bb', 'ba'),
        ('ä', 'aa', 'Gesicht 1 €', '人'),
        ('f0001', 'f0001'),
    ],
)
def test_ids_of_different_lengths_and_orders(ids):
    # The second time the template is there already.
    for seed in range(2):
        assert_sent_as_written(some_faces(ids, seed), header_at(5, 6))


def test_the_values_of_one_image_do_not_stay_for_the_next():
    first, second = some_faces(['f0001', 'f0002'], 1), some_faces(['f0003', 'f0004'], 2)
    sent = serialize(first, header_at(1, 2))
    serialize(second, header_at(3, 4))
    assert deserialize_message(sent, Detection2DArray) == to_message(first, header_at(1, 2))


def test_numbers_that_are_none_are_sent_as_they_are():
    faces = some_faces(['f0001', 'f0002'])
    faces.boxes[0] = np.nan
    faces.keypoints[1] = np.inf
    header = header_at(1, 2)
    sent, expected = serialize(faces, header), to_message(faces, header)
    assert isinstance(sent, bytes)
    # Nothing that is no number equals itself, and so the texts are compared.
    assert str(deserialize_message(sent, Detection2DArray)) == str(expected)


@pytest.mark.parametrize('ids', [(), ('',), ('f0001', 'f0002')])
@pytest.mark.parametrize('frame_id', [STAMP_MARK, f'four{STAMP_MARK}', f'four{STAMP_MARK}more'])
def test_where_the_template_cannot_be_told_from_the_frame_id_the_message_itself_is_sent(
    ids, frame_id
):
    faces, header = some_faces(ids), header_at(1, 2, frame_id)
    sent = serialize(faces, header)
    assert isinstance(sent, Detection2DArray)
    assert sent == to_message(faces, header)


def test_what_looks_like_a_mark_elsewhere_does_no_harm():
    for frame_id in (f'x{STAMP_MARK}', 'aaaa', 'bbbb', 'abab'):
        ids = [STAMP_MARK, 'aaaa', 'bbbb']
        assert_sent_as_written(some_faces(ids), header_at(0x53544D50, 0x0E4E5350, frame_id))


def test_a_long_frame_id_is_sent_with_the_message_itself_and_is_not_kept():
    frame_id = 'long ' * MOST_FRAME_ID
    weak = weakref.ref(kept := Text(frame_id))
    sent = serialize(some_faces(['f0001']), header_at(1, 2, kept))
    assert sent == to_message(some_faces(['f0001']), header_at(1, 2, frame_id))
    del sent, kept
    assert weak() is None
