"""The command `blazeface benchmark`, called as a user would. No time decides about any test."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from shared import PICTURES, ROOT

from blazeface_ros.cli.main import main
from blazeface_ros.lab.benchmark import pictures

SCENE = str(PICTURES / 'scene.jpg')


@pytest.fixture(scope='module')
def measured(tmp_path_factory):
    """What a benchmark has written and printed: (report, plot, text)."""
    folder = tmp_path_factory.mktemp('benchmark')
    files = [folder / 'report.json', folder / 'plot.png']
    done = subprocess.run(
        [
            *(sys.executable, '-m', 'blazeface_ros.cli.main', 'benchmark', '--rounds', '2'),
            *('--growth', '--size', '640x360', '--backends', 'onnxruntime'),
            *('--json', files[0], '--plot', files[1]),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(files[0].read_text()), files[1], done.stdout


@pytest.mark.onnxruntime
@pytest.mark.litert
@pytest.mark.evaluation
def test_each_contender_has_a_row(measured):
    report, _, printed = measured
    rows = report['pictures']
    assert [row['name'].split()[:2] for row in rows] == [['back,', 'ONNX'], ['back,', 'LiteRT']]
    assert [row['ours'] for row in rows] == [True, False]
    for row in rows:
        assert row['faces'] == 5
        assert all(row[stage] > 0 for stage in pictures.STAGES)
        (line,) = (line for line in printed.splitlines() if line.startswith(row['name']))
        assert f'{row["median"]:.2f}' in line.split()


@pytest.mark.onnxruntime
@pytest.mark.litert
@pytest.mark.torch
def test_without_backends_all_that_work_take_part_and_litert_once(capsys):
    options = ['--models', 'front', '--size', '320x240', '--rounds', '1']
    assert main(['benchmark', *options]) == 0
    captured = capsys.readouterr()
    rows = [line for line in captured.out.splitlines() if line.startswith('front, ')]
    assert [row.split()[1] for row in rows] == ['ONNX', 'PyTorch', 'LiteRT']
    assert 'ascend' in captured.err
    assert 'Traceback' not in captured.err


@pytest.mark.onnxruntime
@pytest.mark.litert
@pytest.mark.evaluation
def test_the_report_describes_the_machine_and_its_peak(measured):
    report, _, printed = measured
    assert report['machine']['OpenCV'] == cv2.__version__
    assert all(report['machine'].values())
    assert f'NumPy {np.__version__}' in printed
    assert report['flop_per_second'] > 1e8


@pytest.mark.onnxruntime
@pytest.mark.litert
@pytest.mark.evaluation
def test_growth_has_a_row_for_each_step_with_the_faces_that_are_there(measured):
    report, _, printed = measured
    for key, by, steps, faces in (
        ('by faces', 'faces asked', [1, 4, 9, 25, 49, 100], [1, 4, 9, 25, 49, 100]),
        ('by size', 'size', ['640 x 480', '1280 x 720', '1920 x 1080', '3840 x 2160'], [5] * 4),
        ('by batch', 'batch', [1, 2, 4, 8, 16], [5, 10, 20, 40, 80]),
    ):
        assert [row[by] for row in report[key]] == steps
        assert [row['faces'] for row in report[key]] == faces
        assert all(row['median'] > 0 for row in report[key])
        assert f'\n{by}' in printed


@pytest.mark.onnxruntime
@pytest.mark.litert
@pytest.mark.evaluation
def test_the_plot_is_a_picture(measured):
    plot = cv2.imread(str(measured[1]))
    assert plot.shape[0] > 200
    assert plot.shape[1] > 800
    assert plot.std() > 10


@pytest.mark.onnxruntime
@pytest.mark.litert
def test_several_models_and_another_picture_are_measured(capsys, tmp_path):
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((50, 50, 3), 128, np.uint8))
    options = ['--models', 'front,full_range', '--backends', 'onnxruntime', '--batch', '2']
    options += ['--picture', str(tmp_path / 'grey.png')]
    assert main(['benchmark', '--rounds', '2', *options]) == 0
    captured = capsys.readouterr()
    rows = [line for line in captured.out.splitlines() if line.startswith(('front,', 'full_'))]
    assert [row.split(',')[0] for row in rows] == ['front', 'front', 'full_range', 'full_range']


def test_without_ros_it_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    assert main(['benchmark', '--ros']) == 2
    assert 'rclpy' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('options', 'fragments'),
    [
        (['--backends', 'banana'], ['--backends', "'banana'", 'onnxruntime, ascend, torch']),
        (['--backends', 'litert'], ['--backends', "'litert'"]),
        (['--backends', 'ascend'], ["'ascend'", 'acl']),
        (['--models', 'back,'], ['--models', "''", 'back']),
        (['--size', '0x10'], ['--size', "'0x10'", 'WIDTHxHEIGHT']),
        (['--size', '99999x99999'], ['--size', '9999']),
        (['--rounds', '0'], ['--rounds', '0']),
        (['--rounds', '9' * 30], ['--rounds', '1 to 1000000']),
        (['--batch', '100000000000000'], ['--batch', '1 to 1000']),
        (['--seconds', 'inf'], ['--seconds', 'inf']),
        (['--ros', '--rate', '1e-300'], ['--rate', '0.1 to 1000']),
        (['--size', 'x' * 5000], ['--size', '5000 characters']),
        (['--models', 'x' * 5000], ['--models', '5000 characters']),
        (['--tflite', 'x' * 300], ['--tflite', 'File name too long']),
        (['--yunet', '/dev/zero'], ["--yunet '/dev/zero'", 'a device']),
        (['--yunet', 'caf\udce9.onnx'], ['--yunet', 'does not exist']),
        (['--mediapipe', 'x' * 300], ['--mediapipe', 'is no program']),
        (['--picture', 'x' * 300], ['picture', 'File name too long']),
        (['--json', 'x' * 300], ['--json', 'File name too long']),
        (['--rate', 'nan'], ['--rate', 'nan']),
        (['--threads', '-1'], ['--threads', '-1', '0 to 256']),
        (['--queue-size', '0'], ['--queue-size', '0', '1 to 1000']),
        (['--device', 'banana'], ["'banana'"]),
        (['--device', 'banana', '--backends', 'onnxruntime'], ["'banana'"]),
        (['--picture', '/nowhere.png'], ["'/nowhere.png'"]),
        (['--yunet', '/nowhere.onnx'], ["'/nowhere.onnx'"]),
        (['--yunet', str(ROOT / 'weights' / 'blazeface_front.onnx')], ['YuNet', 'front.onnx']),
        (['--yunet', SCENE], ['YuNet', 'scene.jpg']),
        (['--tflite', '/nowhere.tflite'], ['/nowhere.tflite']),
        pytest.param(
            ['--mediapipe', '/nowhere/python'],
            ['--mediapipe', "'/nowhere/python'"],
            marks=pytest.mark.litert,
        ),
        pytest.param(
            ['--mediapipe', sys.executable],
            ["No module named 'mediapipe'"],
            marks=pytest.mark.litert,
        ),
        pytest.param(
            ['--mediapipe', '/bin/echo'], ["'/bin/echo'", '0.10.21'], marks=pytest.mark.litert
        ),
        (['--models', 'front', '--mediapipe', sys.executable], ['--mediapipe', "'back'", 'front']),
        (['--json', '/nowhere/report.json'], ['--json', "'/nowhere/report.json'"]),
        (['--plot', 'plot.banana'], ['--plot', "'plot.banana'", '.png']),
        (['--ros', '--growth'], ['--growth', '--ros']),
        (['--ros', '--cameras', '0'], ['--cameras', "'0'", '1 to 99']),
        (['--ros', '--sizes', '640'], ['--sizes', "'640'", 'WIDTHxHEIGHT']),
    ],
)
def test_options_that_cannot_work_are_refused_with_a_sentence(capsys, options, fragments):
    assert main(['benchmark', '--rounds', '2', *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert all(fragment in captured.err for fragment in fragments)
    assert 'Traceback' not in captured.err
