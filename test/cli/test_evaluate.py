"""The command `blazeface evaluate`, called as a user would."""

import importlib.util
import json
import shutil

import pytest
from rights import without_root
from shared import PICTURES

from blazeface_ros.cli.main import main


@pytest.fixture
def annotations(samples, tmp_path):
    """The `samples` as a file of annotations, with one face more than can be found."""
    entries = [
        {
            'image': name,
            'faces': [
                {'box': box, 'points': points}
                for box, points in zip(truth.boxes.tolist(), truth.keypoints[:, :4].tolist())
            ],
        }
        for name, (_, truth) in zip(('scene.jpg', 'astronaut.png'), samples)
    ]
    entries[1]['faces'].append({'box': [400, 400, 420, 420]})
    file = tmp_path / 'truth.json'
    file.write_text(json.dumps(entries))
    return file


def evaluate_by_command(*arguments):
    return main(['evaluate', '--threads', '1', '--ground-truth', *map(str, arguments)])


@pytest.mark.evaluation
def test_it_prints_tables_and_writes_the_numbers_and_curves(annotations, tmp_path, capsys):
    numbers, plot = tmp_path / 'numbers.json', tmp_path / 'curve.png'
    assert not evaluate_by_command(
        annotations, '--images', PICTURES, '--json', numbers, '--plot', plot
    )
    captured = capsys.readouterr()
    assert captured.err == ''
    lines = [line.split() for line in captured.out.splitlines()]
    assert ['0.4', '6', '/', '7', '0.857', '0', '1.000', '0.857'] in lines
    assert ['16', '-', '32', '0', '/', '1', '0.000', '0'] in lines
    assert ['nose_tip', '0.000'] in lines
    written = json.loads(numbers.read_text())
    assert (written['model'], written['pictures']) == ('back', 2)
    first = written['accuracies'][0]
    assert (first['iou'], first['present'], first['found']) == (0.4, 7, 6)
    assert written['keypoint_errors']['left_ear_tragion'] is None
    assert plot.read_bytes().startswith(b'\x89PNG')


@pytest.mark.evaluation
def test_far_faces_are_counted_by_width(annotations, tmp_path, capsys):
    numbers, plot = tmp_path / 'numbers.json', tmp_path / 'curve.png'
    outputs = '--json', numbers, '--plot', plot
    assert not evaluate_by_command(annotations, '--images', PICTURES, '--far', *outputs)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ' '.join(lines[1]) == 'width found / present recall false positives'
    assert [line[0] for line in lines[2:]] == ['16', '24', '32', '48', '72']
    far = json.loads(numbers.read_text())['far']
    assert [row['present'] for row in far] == [7, 6, 6, 6, 6]
    assert far[0]['found'] == 0  # the whole frame at once: too small
    assert plot.read_bytes().startswith(b'\x89PNG')


def test_an_unreadable_picture_is_named_once_and_the_others_are_done(annotations, tmp_path, capsys):
    shutil.copy(PICTURES / 'scene.jpg', tmp_path)
    for far in ([], ['--far']):
        assert evaluate_by_command(annotations, *far) == 1
        captured = capsys.readouterr()
        assert captured.err.count("astronaut.png' does not exist") == 1
        assert '/ 5' in captured.out


@pytest.mark.parametrize(
    ('arguments', 'fragments'),
    [
        pytest.param(['missing.txt'], ["'missing.txt'"], marks=pytest.mark.network),
        (['missing.txt', '--json', 'nowhere/a.json'], ['--json', "'nowhere/a.json'"]),
        (['missing.txt', '--plot', 'curve.doc'], ['--plot', "'curve.doc'", '.png']),
        (['missing.txt', '--json', 'x' * 300], ['--json', 'File name too long']),
        (['missing.txt', '--json', ''], ["--json '.' is a folder; it must"]),
        (['missing.txt', '--json', __file__ + '/x'], ['--json', 'no such folder']),
        (['missing.txt', '--plot', 'x' * 300 + '.png'], ['--plot', 'File name too long']),
        (['missing.txt', '--model', 'nowhere.onnx'], ["'nowhere.onnx'", 'back']),
    ],
)
def test_what_cannot_work_is_refused_before_the_long_work(
    tmp_path, monkeypatch, capsys, arguments, fragments
):
    monkeypatch.chdir(tmp_path)
    assert evaluate_by_command(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert all(fragment in captured.err for fragment in fragments)


@pytest.mark.parametrize('option', ['--json', '--plot'])
def test_an_output_in_a_folder_that_may_not_be_written_is_refused_before(tmp_path, capsys, option):
    folder = tmp_path / 'closed'
    folder.mkdir()
    folder.chmod(0o555)
    with without_root():
        assert evaluate_by_command('missing.txt', option, folder / 'x.png') == 2
    assert capsys.readouterr().err.startswith(f"blazeface: {option} '{folder}/x.png' cannot be w")


@pytest.mark.network
def test_numbers_that_do_not_fit_on_the_disk_are_said_in_one_sentence(annotations, capsys):
    assert evaluate_by_command(annotations, '--images', PICTURES, '--json', '/dev/full') == 2
    sentence = "blazeface: --json '/dev/full' cannot be written: No space left on device\n"
    assert capsys.readouterr().err == sentence


def test_without_matplotlib_a_sentence_says_how_to_get_it(annotations, monkeypatch, capsys):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name: None if name == 'matplotlib' else find_spec(name)
    )
    assert evaluate_by_command(annotations, '--plot', 'curve.png') == 2
    assert 'pip install matplotlib' in capsys.readouterr().err
