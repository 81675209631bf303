"""The command `blazeface detect`, called as a user would."""

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from shared import PICTURES

from blazeface_ros import KEYPOINT_NAMES
from blazeface_ros.cli.main import main
from blazeface_ros.core.drawing import TILE_COLOR, draw_tiles
from blazeface_ros.core.tiling import plan_tiles

ASTRONAUT, SCENE = str(PICTURES / 'astronaut.png'), str(PICTURES / 'scene.jpg')


@pytest.mark.network
def test_it_prints_lines_for_people(capsys):
    assert main(['detect', ASTRONAUT, SCENE]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f'{ASTRONAUT}: 1 face'
    assert 'score 0.87' in lines[1]
    assert 'nose_tip 224,128' in lines[1]
    assert lines[2] == f'{SCENE}: 5 faces'
    assert len(lines) == 8


def test_it_prints_one_json_object_per_picture(capsys, detector, astronaut):
    assert main(['detect', '--json', ASTRONAUT, SCENE]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first['image'], first['width'], first['height']) == (ASTRONAUT, 512, 512)
    assert len(second['faces']) == 5
    (face,) = first['faces']
    assert list(face) == ['box', 'score', 'keypoints']
    assert list(face['keypoints']) == list(KEYPOINT_NAMES)
    expected = detector.detect(astronaut)
    np.testing.assert_allclose(face['box'], expected.boxes[0], atol=0.01)
    np.testing.assert_allclose(face['score'], expected.scores[0], atol=1e-4)
    np.testing.assert_allclose(list(face['keypoints'].values()), expected.keypoints[0], atol=0.01)


def huge_png():
    """The beginning of a picture that says it has 60,000 x 60,000 pixels."""
    header = b'IHDR' + struct.pack('>IIBBBBB', 60000, 60000, 8, 2, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(chunk) - 4) + chunk + struct.pack('>I', zlib.crc32(chunk))
        for chunk in (header, b'IDAT' + zlib.compress(b''), b'IEND')
    )


@pytest.mark.network
def test_an_unreadable_picture_is_named_and_the_others_are_done(capsys, tmp_path):
    (tmp_path / 'text.jpg').write_text('no picture')
    (tmp_path / 'empty.png').touch()
    (tmp_path / 'huge.png').write_bytes(huge_png())
    names = 'text.jpg', 'empty.png', 'missing.png', 'huge.png'
    broken = [str(tmp_path / name) for name in names]
    assert main(['detect', *broken, ASTRONAUT]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f'{ASTRONAUT}: 1 face')
    assert all(f"'{file}'" in captured.err for file in broken)
    assert 'Traceback' not in captured.err


@pytest.mark.network
def test_annotated_pictures_are_saved_also_when_names_repeat(tmp_path, capsys):
    other = tmp_path / 'other' / 'astronaut.png'
    other.parent.mkdir()
    shutil.copy(ASTRONAUT, other)
    out = tmp_path / 'made' / 'here'
    assert main(['detect', ASTRONAUT, str(other), '--save', str(out)]) == 0
    assert sorted(file.name for file in out.iterdir()) == [
        'astronaut_faces.png',
        'astronaut_faces_2.png',
    ]
    drawn = cv2.imread(str(out / 'astronaut_faces.png')) != cv2.imread(ASTRONAUT)
    assert 0 < drawn.any(axis=2).mean() < 0.1


@pytest.mark.network
def test_far_faces_are_found_and_the_searched_tiles_drawn_in_grey(tmp_path, capsys, scene):
    frame = np.full((1080, 1920, 3), (60, 90, 30), np.uint8)
    frame[300:552, 700:1148] = cv2.resize(scene, (448, 252), interpolation=cv2.INTER_AREA)
    file = tmp_path / 'far.png'
    cv2.imwrite(str(file), frame)
    assert main(['detect', str(file)]) == 0
    assert capsys.readouterr().out == f'{file}: 0 faces\n'
    grey = {}
    for options in ([], ['--show-tiles']):
        arguments = ['detect', str(file), '--smallest-face', '24', '--save', str(tmp_path / 'out')]
        assert main([*arguments, *options]) == 0
        captured = capsys.readouterr()
        assert captured.out.startswith(f'{file}: 5 faces\n')
        assert captured.err == ''
        saved = cv2.imread(str(tmp_path / 'out' / 'far_faces.png'))
        grey[bool(options)] = (saved == TILE_COLOR).all(axis=2)
    plan = plan_tiles(1920, 1080, 24, 1 / 14)
    drawn = np.zeros((1080, 1920, 3), np.uint8)
    draw_tiles(drawn, plan.tiles)
    lines = drawn.any(axis=2)
    lines[280:580, 680:1170] = False  # where faces and scores are drawn over them
    assert lines.sum() > 10000
    assert grey[True][lines].all()
    assert not grey[False][lines].any()


@pytest.mark.network
@pytest.mark.parametrize('pixels', ['1', '400'])
def test_a_smallest_face_that_makes_no_sense_is_noted_and_the_faces_found(capsys, pixels):
    assert main(['detect', ASTRONAUT, '--smallest-face', pixels]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f'{ASTRONAUT}: ')
    assert 'score 0.87' in captured.out
    for fragment in (ASTRONAUT, f'smallest_face is {pixels}', '512 x 512'):
        assert fragment in captured.err


@pytest.mark.parametrize(
    ('options', 'fragments'),
    [
        (['--model', '/nowhere.onnx'], ["'/nowhere.onnx'", 'back, front']),
        (['--backend', 'banana'], ["'banana'", 'onnxruntime']),
        (['--smallest-face', '-1'], ['smallest_face', '-1']),
        (['--score-threshold', '2'], ['score_threshold', '2.0']),
        pytest.param(['--save', ASTRONAUT], ['--save', ASTRONAUT], marks=pytest.mark.network),
        (['--show-windows'], ['--show-windows', '--show-tiles']),
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_starts(capsys, options, fragments):
    assert main(['detect', ASTRONAUT, *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert all(fragment in captured.err for fragment in fragments)


@pytest.fixture
def strange(tmp_path):
    """A picture whose name is not UTF-8, such as old archives have."""
    file = os.fsencode(tmp_path) + b'/caf\xe9.png'
    shutil.copy(ASTRONAUT, file)
    return file


def blazeface(*words, **environment):
    """Run the command; its exit code, and the bytes that it printed on stdout and stderr."""
    command = sys.executable, '-m', 'blazeface_ros.cli.main', *words
    done = subprocess.run(command, capture_output=True, env={**os.environ, **environment})
    return done.returncode, done.stdout, done.stderr


@pytest.mark.network
def test_a_name_that_is_not_utf8_is_printed_as_it_is_and_its_picture_saved(strange, tmp_path):
    out = os.fsencode(tmp_path) + b'/out\xe9'
    code, printed, errors = blazeface('detect', strange, '--save', out)
    assert (code, errors) == (0, b'')
    assert printed.startswith(strange + b': 1 face\n')
    assert os.listdir(out) == [b'caf\xe9_faces.png']
    with open(out + b'/caf\xe9_faces.png', 'rb') as saved:
        pixels = cv2.imdecode(np.frombuffer(saved.read(), np.uint8), cv2.IMREAD_COLOR)
    assert 0 < (pixels != cv2.imread(ASTRONAUT)).any(axis=2).mean() < 0.1


@pytest.mark.network
def test_a_name_that_is_not_utf8_stands_in_json(strange):
    code, printed, errors = blazeface('detect', '--json', strange)
    assert (code, errors) == (0, b'')
    assert os.fsencode(json.loads(printed)['image']) == strange
    assert printed.isascii()


@pytest.mark.network
def test_names_are_printed_whatever_the_encoding_of_the_terminal(strange):
    missing = strange.replace(b'caf\xe9', 'naïve'.encode())
    code, printed, errors = blazeface('detect', strange, missing, PYTHONIOENCODING='ascii')
    assert code == 1
    assert printed.startswith(strange + b': 1 face\n')
    assert errors.endswith(b"na\\xefve.png' does not exist\n")


@pytest.mark.network
def test_what_cannot_be_saved_is_named_with_the_reason_and_the_others_are_done(tmp_path, capsys):
    long = tmp_path / f'{"x" * 249}.png'
    shutil.copy(ASTRONAUT, long)
    out = tmp_path / 'out'
    assert main(['detect', str(long), ASTRONAUT, '--save', str(out)]) == 1
    captured = capsys.readouterr()
    assert 'cannot be written: File name too long' in captured.err
    assert len(captured.err) < 500
    assert [file.name for file in out.iterdir()] == ['astronaut_faces.png']
    assert f'{ASTRONAUT}: 1 face' in captured.out


@pytest.mark.network
def test_a_disk_that_is_full_is_said_in_one_sentence(tmp_path):
    (tmp_path / 'astronaut_faces.png').symlink_to('/dev/full')
    code, _, errors = blazeface('detect', ASTRONAUT, '--save', tmp_path)
    assert code == 1
    assert errors.decode().endswith('cannot be written: No space left on device\n')
    assert errors.count(b'\n') == 1
