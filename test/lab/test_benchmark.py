"""The command `blazeface benchmark`, called as a user would. No time decides about any test."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import PICTURES, ROOT

from blazeface_ros import FaceDetector
from blazeface_ros.cli.main import main
from blazeface_ros.errors import BackendError
from blazeface_ros.lab.benchmark import contenders, nodes, pictures

SCENE = str(PICTURES / 'scene.jpg')


@pytest.fixture(autouse=True)
def no_process_stays():
    """Neither a zombie nor a running process of a test is left."""
    yield
    assert children() == []


def children(pid=None):
    """Names and states of a process's children."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            name, _, rest = stat.read_text().partition('(')[2].rpartition(')')
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(rest.split()[1]) == (pid or os.getpid()):
            found.append(f'{name} {rest.split()[0]}')
    return found


@pytest.fixture(scope='module')
def measured(tmp_path_factory):
    """The files and prints of one benchmark of all that is at hand: (report, plot, out, err)."""
    folder = tmp_path_factory.mktemp('benchmark')
    files = [folder / 'report.json', folder / 'plot.png']
    done = subprocess.run(
        [
            *(sys.executable, '-m', 'blazeface_ros.cli.main', 'benchmark', '--rounds', '2'),
            *('--growth', '--size', '640x360', '--json', files[0], '--plot', files[1]),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(files[0].read_text()), files[1], done.stdout, done.stderr


def test_each_contender_at_hand_has_a_row(measured):
    report, _, printed, _ = measured
    rows = report['pictures']
    names = [row['name'] for row in rows]
    assert [name.split()[1] for name in names] == ['ONNX', 'PyTorch', 'LiteRT']
    assert [row['ours'] for row in rows] == [True, True, False]
    for row in rows:
        assert row['faces'] == 5
        assert 0 < row['median'] <= row['p95']
        assert row['cpu'] > 0
        assert all(row[stage] > 0 for stage in pictures.STAGES)
        (line,) = (line for line in printed.splitlines() if line.startswith(row['name']))
        assert f'{row["median"]:.2f}' in line.split()


def test_what_is_how_many_times_as_fast_is_said_of_the_fastest_peer(measured):
    rows = measured[0]['pictures']
    fastest = min(row['median'] for row in rows if not row['ours'])
    for row in rows:
        assert row['times as fast'] * row['median'] == pytest.approx(fastest)


def test_the_report_tells_the_machine_and_its_peak(measured):
    report, _, printed, _ = measured
    assert report['machine']['OpenCV'] == cv2.__version__
    assert all(report['machine'].values())
    assert f'NumPy {np.__version__}' in printed
    assert report['flop_per_second'] > 1e8
    assert 'at that rate: back ' in printed


def test_growth_has_a_row_a_step_with_the_faces_that_are_there(measured):
    report, _, printed, _ = measured
    for key, by, steps, faces in (
        ('by faces', 'faces asked', [1, 4, 9, 25, 49, 100], [1, 4, 9, 25, 49, 100]),
        ('by size', 'size', ['640 x 480', '1280 x 720', '1920 x 1080', '3840 x 2160'], [5] * 4),
        ('by batch', 'batch', [1, 2, 4, 8, 16], [5, 10, 20, 40, 80]),
    ):
        assert [row[by] for row in report[key]] == steps
        assert [row['faces'] for row in report[key]] == faces
        assert all(row['median'] > 0 for row in report[key])
        assert f'\nB{key[1:]}: back on ONNX Runtime, ms\n{by}' in printed


def test_the_plot_is_a_picture(measured):
    plot = cv2.imread(str(measured[1]))
    assert plot.shape[0] > 200
    assert plot.shape[1] > 800
    assert plot.std() > 10


def test_who_cannot_take_part_is_told_with_the_reason(measured):
    err = measured[3]
    assert "backend 'ascend' does not take part: " in err
    assert "MediaPipe does not take part: MediaPipe's graph does not run" in err
    assert "No module named 'mediapipe'): it needs mediapipe 0.10.21" in err
    assert 'Traceback' not in err


@pytest.mark.parametrize('batch', [1, 3])
def test_the_stages_take_no_longer_than_the_whole(scene, batch):
    ours = contenders.Ours('front', 'onnxruntime', 1, [scene] * batch)
    for _ in range(3):
        one = ours.run()
        assert list(one.stages) == list(pictures.STAGES)
        assert sum(one.stages.values()) <= one.seconds
    ours.close()


def test_the_cpu_time_is_that_of_all_threads(scene):
    """What another thread burns beside the contender is counted as well."""
    code = 'import threading, time\n' + '\n'.join(
        (
            'from blazeface_ros.lab.benchmark.contenders import Ours',
            'import numpy',
            'ours = Ours("back", "onnxruntime", 1, [numpy.zeros((99, 99, 3), "uint8")] * 16)',
            'alone = min(ours.run().cpu for _ in range(3))',
            'def burn():',
            '    while time.monotonic() < end: pass',
            'end = time.monotonic() + 2',
            'threading.Thread(target=burn).start()',
            'beside = max(ours.run().cpu for _ in range(3))',
            'print(beside > alone)',
        )
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout == 'True\n'


@pytest.mark.parametrize('size', [(640, 480), (1000, 100), (100, 1000), (1, 1), (1, 9)])
def test_a_scaled_picture_has_the_size_and_keeps_its_aspect(scene, size):
    wide = np.full((200, 400, 3), 50, np.uint8)
    wide[50:150, 100:200] = 200
    scaled = pictures.scaled_to(wide, *size)
    assert scaled.shape == (size[1], size[0], 3)
    if min(size) > 50:
        marked = np.argwhere(scaled[..., 0] > 125)
        height, width = np.ptp(marked, axis=0) + 1
        assert abs(height - width) <= 2
        assert abs(width - 100 * min(size[0] / 400, size[1] / 200)) <= 2


@pytest.mark.parametrize('faces', [1, 4, 9, 25, 49, 100])
def test_a_crowd_has_as_many_faces_as_asked_for(detector, astronaut, faces):
    picture = pictures.crowd(astronaut, detector.detect(astronaut).boxes[0], faces)
    assert abs(picture.shape[1] - 1000) < 10
    found = FaceDetector(threads=1, score_threshold=0.5).detect(picture)
    assert len(found) == faces
    cells = np.floor(found.keypoints[:, 2] / (picture.shape[1] / faces**0.5)).astype(int)
    assert len(np.unique(cells, axis=0)) == faces


def test_several_models_and_a_picture_of_ones_own_are_measured(capsys, tmp_path):
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((50, 50, 3), 128, np.uint8))
    options = ['--models', 'front,full_range', '--backends', 'onnxruntime', '--batch', '2']
    options += ['--picture', str(tmp_path / 'grey.png')]
    assert main(['benchmark', '--rounds', '2', *options]) == 0
    captured = capsys.readouterr()
    rows = [line for line in captured.out.splitlines() if line.startswith(('front,', 'full_'))]
    assert [row.split(',')[0] for row in rows] == ['front', 'front', 'full_range', 'full_range']
    assert 'batch 2, threads 1, 2 rounds' in captured.out
    assert 'PyTorch' not in captured.out


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (['--backends', 'banana'], "--backends: 'banana' is unknown; there are: onnxruntime"),
        (['--backends', 'ascend'], "backend 'ascend' needs the Python module acl"),
        (['--models', 'back,'], "--models: '' is unknown; there are: back"),
        (['--size', '0x10'], "--size: '0x10' is not WIDTHxHEIGHT"),
        (['--size', '99999x99999'], '(1 to 9999)'),
        (['--rounds', '0'], '--rounds is 0; it must be above 0'),
        (['--rate', 'nan'], '--rate is nan; it must be above 0'),
        (['--threads', '-1'], '--threads is -1; it must be from 0 to 256'),
        (['--queue-size', '0'], '--queue-size is 0; it must be from 1 to 1000'),
        (['--device', 'banana'], "no backend works here with --device 'banana'"),
        (['--device', 'banana', '--backends', 'onnxruntime'], 'banana'),
        (['--picture', '/nowhere.png'], "picture '/nowhere.png' does not exist"),
        (['--yunet', '/nowhere.onnx'], "YuNet's file '/nowhere.onnx' does not exist"),
        (['--yunet', str(ROOT / 'weights' / 'blazeface_front.onnx')], 'as YuNet'),
        (['--yunet', SCENE], 'as YuNet'),
        (['--tflite', '/nowhere.tflite'], '/nowhere.tflite'),
        (['--mediapipe', '/nowhere/python'], "--mediapipe '/nowhere/python' cannot be started"),
        (['--mediapipe', sys.executable], "No module named 'mediapipe'"),
        (['--mediapipe', '/bin/echo'], 'it needs mediapipe 0.10.21'),
        (['--models', 'front', '--mediapipe', sys.executable], "--mediapipe runs 'back' only"),
        (['--json', '/nowhere/report.json'], '--json'),
        (['--plot', 'plot.banana'], 'must end with .png'),
        (['--ros', '--growth'], 'without --ros'),
        (['--ros', '--cameras', '0'], "--cameras: '0' is not a whole number from 1 to 99"),
        (['--ros', '--sizes', '640'], "--sizes: '640' is not WIDTHxHEIGHT"),
    ],
)
def test_options_that_cannot_work_are_refused_with_a_sentence(capsys, options, sentence):
    assert main(['benchmark', '--rounds', '2', *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert sentence in captured.err
    assert 'Traceback' not in captured.err


# The node: processes that talk to each other.

PLAN = nodes.Plan([(320, 240)], [1], 20.0, 1.5, 1, 'reliable', queue_size=1)


@pytest.fixture
def ros():
    pytest.importorskip('rclpy')
    pytest.importorskip('vision_msgs')


@pytest.fixture
def broken_cv_bridge(monkeypatch, tmp_path):
    """A cv_bridge as it is with an OpenCV that it was not made for: it fails at an image."""
    (tmp_path / 'cv_bridge.py').write_text(
        'class CvBridge:\n'
        '    def imgmsg_to_cv2(self, *_):\n'
        "        raise TypeError('the type of the image is not known')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get('PYTHONPATH', '')])
    monkeypatch.setenv('PYTHONPATH', path)


def test_a_node_is_measured_and_a_reference_that_dies_is_told(ros, broken_cv_bridge, capsys):
    settings = [
        nodes.Setting(what, (320, 240), 1, profile)
        for what, profile in (
            (nodes.REFERENCE, True),
            (nodes.BARE, True),
            (nodes.DETECTOR, True),
            (nodes.REFERENCE, False),
        )
    ]
    done = []
    rows = nodes.measure(PLAN, settings, lambda: done.append(children()))
    assert done == [[]] * 4
    assert [row['what'] for row in rows] == [nodes.BARE, nodes.DETECTOR]
    for row in rows:
        assert tuple(row) == nodes.COLUMNS
        assert row['sent'] == 10
        assert row['answered'] > 0
        assert 0 < row['median'] <= row['p95']
        assert row['CPU an answer'] >= 0
    assert capsys.readouterr().err == (
        'the reference node does not take part: lab.benchmark.reference_node ended by itself: '
        'TypeError: the type of the image is not known\n'
    )


def test_without_cv_bridge_the_reference_node_is_left_out(ros, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    setting = nodes.Setting(nodes.REFERENCE, (320, 240), 1, False)
    assert nodes.measure(PLAN, [setting]) == []
    assert 'does not take part: cv_bridge is missing' in capsys.readouterr().err


def test_a_node_of_ours_that_dies_ends_the_measurement(ros, tmp_path):
    setting = nodes.Setting(nodes.DETECTOR, (320, 240), 1, False)
    with pytest.raises(BackendError, match=r'media_publisher_node ended by itself: .*nowhere'):
        nodes.listen(PLAN, setting, '/nowhere.png', '')


def test_without_ros_it_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    assert main(['benchmark', '--ros']) == 2
    assert '--ros needs ROS 2 with vision_msgs, and rclpy is missing' in capsys.readouterr().err


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_when_it_is_ended_its_nodes_end(ros, number):
    benchmark = subprocess.Popen(
        [sys.executable, '-m', 'blazeface_ros.cli.main', 'benchmark', '--ros'],
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 20
    while len(children(benchmark.pid)) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    group = Path(f'/proc/{benchmark.pid}/task/{benchmark.pid}/children').read_text().split()
    benchmark.send_signal(number)
    _, err = benchmark.communicate(timeout=20)
    assert benchmark.returncode == 130
    assert 'Traceback' not in err
    assert not any(Path(f'/proc/{pid}').exists() for pid in group)
