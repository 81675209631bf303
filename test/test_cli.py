"""The command `blazeface detect`, called as a user would."""

import json
import shutil

import cv2
import numpy as np
import pytest
from conftest import PICTURES

from blazeface_ros import KEYPOINT_NAMES
from blazeface_ros.cli.main import main

ASTRONAUT, SCENE = str(PICTURES / 'astronaut.png'), str(PICTURES / 'scene.jpg')


def test_it_prints_lines_for_people(capsys):
    assert main(['detect', ASTRONAUT, SCENE]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f'{ASTRONAUT}: 1 face'
    assert 'score 0.87' in lines[1]
    assert 'nose_tip 224,128' in lines[1]
    assert lines[2] == f'{SCENE}: 5 faces'
    assert len(lines) == 8


def test_it_prints_one_json_object_a_picture(capsys, detector, astronaut):
    assert main(['detect', '--json', ASTRONAUT, SCENE]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first['image'], first['width'], first['height']) == (ASTRONAUT, 512, 512)
    assert len(second['faces']) == 5
    (face,) = first['faces']
    assert list(face['keypoints']) == list(KEYPOINT_NAMES)
    expected = detector.detect(astronaut)
    np.testing.assert_allclose(face['box'], expected.boxes[0], atol=0.01)
    np.testing.assert_allclose(face['score'], expected.scores[0], atol=1e-4)
    np.testing.assert_allclose(
        list(face['keypoints'].values()), expected.keypoints[0], atol=0.01
    )


def test_an_unreadable_picture_is_named_and_the_others_are_done(capsys, tmp_path):
    (tmp_path / 'text.jpg').write_text('no picture')
    (tmp_path / 'empty.png').touch()
    broken = [str(tmp_path / name) for name in ('text.jpg', 'empty.png', 'missing.png')]
    assert main(['detect', *broken, ASTRONAUT]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f'{ASTRONAUT}: 1 face')
    assert f"'{broken[0]}' is not a picture that OpenCV can read" in captured.err
    assert f"'{broken[1]}' is not a picture that OpenCV can read" in captured.err
    assert f"picture '{broken[2]}' does not exist" in captured.err


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


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (['--model', '/nowhere.onnx'], "model '/nowhere.onnx' is neither a known name"),
        (['--backend', 'banana'], "backend 'banana' is unknown; there are: onnxruntime"),
        (['--score-threshold', '2'], 'score_threshold is 2.0; it must be between 0 and 1'),
        (['--save', ASTRONAUT], '--save'),
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_starts(capsys, options, sentence):
    assert main(['detect', ASTRONAUT, *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert sentence in captured.err


def test_help_and_version_are_there(capsys):
    for arguments, expected in ((['--help'], 'detect'), (['--version'], '0.1.0')):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        assert expected in capsys.readouterr().out
