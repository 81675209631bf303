"""Pictures, folders and videos are read as frames, and what cannot be read is refused."""

import os
import struct

import cv2
import numpy as np
import pytest
from shared import PICTURES
from unreadable_files import UNREADABLE_FILES, make_unreadable_files

from blazeface_ros.errors import ConfigurationError, ImageError
from blazeface_ros.recordings.media import Media, read_picture, read_regular_file

ASTRONAUT = PICTURES / 'astronaut.png'


@pytest.fixture
def bomb(tmp_path):
    """A small JPEG that declares 32766 x 32766 pixels."""
    data = cv2.imencode('.jpg', np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    at = data.index(b'\xff\xc0') + 5
    file = tmp_path / 'bomb.jpg'
    file.write_bytes(data[:at] + struct.pack('>HH', 32766, 32766) + data[at + 4 :])
    return file


def video(file, width, height):
    """Write a video of three frames."""
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*'MJPG'), 20, (width, height))
    for _ in range(3):
        writer.write(np.full((height, width, 3), 128, np.uint8))
    writer.release()
    return file


def test_a_picture_is_read_whatever_bytes_its_name_has(tmp_path):
    file = os.fsencode(tmp_path) + b'/caf\xe9.png'
    with open(file, 'wb') as stream:
        stream.write(ASTRONAUT.read_bytes())
    pixels = read_picture(os.fsdecode(file))
    np.testing.assert_array_equal(pixels, cv2.imread(str(ASTRONAUT)))
    media = Media(os.fsdecode(file))
    np.testing.assert_array_equal(next(media.frames()), pixels)


def test_a_picture_that_declares_too_many_pixels_is_refused_also_in_folders(bomb):
    with pytest.raises(ImageError, match=r"bomb.jpg' cannot .* 32766 x 32766 .* max_image_pixels"):
        read_picture(bomb)
    with pytest.raises(ConfigurationError, match=r'32766 x 32766 .* max_image_pixels'):
        Media(str(bomb))
    (bomb.parent / 'good.png').write_bytes(ASTRONAUT.read_bytes())
    media = Media(str(bomb.parent))
    assert [frame.shape for frame in media.frames()] == [(512, 512, 3)]
    (skipped,) = media.skipped
    assert 'max_image_pixels' in skipped


def test_the_limit_of_pixels_can_be_chosen(tmp_path):
    assert read_picture(ASTRONAUT, 512 * 512).size
    assert list(Media(str(ASTRONAUT), 512 * 512).frames())
    with pytest.raises(ImageError, match='max_image_pixels'):
        read_picture(ASTRONAUT, 512 * 512 - 1)
    with pytest.raises(ConfigurationError, match='max_image_pixels'):
        Media(str(ASTRONAUT), 512 * 512 - 1)
    film = video(tmp_path / 'film.avi', 64, 48)
    assert len(list(Media(str(film), 64 * 48).frames())) == 3
    with pytest.raises(ConfigurationError, match=r"film.avi' has frames of 64 x 48 .* max_image_"):
        Media(str(film), 64 * 48 - 1)


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        *UNREADABLE_FILES,
        ('nul\0.png', 'null'),
        ('half of a pair \ud800.png', 'surrogates'),
        ('file', r'1 bytes begin with'),
    ],
)
def test_what_is_no_picture_is_named_with_the_reason(tmp_path, name, reason):
    make_unreadable_files(tmp_path)
    with pytest.raises(ImageError, match=reason) as error:
        read_picture(tmp_path / name)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ('source', 'reason'),
    [
        ('missing.mp4', 'does not exist'),
        ('file/x', 'Not a directory'),
        ('x' * 5000, 'File name too long'),
        ('nul\0', 'null'),
        ('film\udce9.avi', 'in UTF-8; rename it'),
        ('pipe.png', 'a device or a pipe'),
    ],
)
def test_what_is_no_source_is_named_with_the_reason(tmp_path, source, reason):
    (tmp_path / 'file').write_text('x')
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'film\udce9.avi').write_text('no video')
    with pytest.raises(ConfigurationError, match=reason) as error:
        Media(str(tmp_path / source))
    assert len(str(error.value)) < 500


@pytest.mark.parametrize('source', ['~nosuchuser/film.mp4', '9' * 5000, '\u0669'])
def test_strange_sources_are_refused_with_a_sentence(source):
    with pytest.raises(ConfigurationError) as error:
        Media(source)
    assert len(str(error.value)) < 500


def test_a_file_is_read_up_to_a_limit_that_includes_itself(tmp_path):
    file = tmp_path / 'file'
    file.write_bytes(bytes(100))
    assert read_regular_file(file, 100) == bytes(100)
    with pytest.raises(OSError, match='100 bytes, more than the 99'):
        read_regular_file(file, 99)
