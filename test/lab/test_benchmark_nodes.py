"""How the node is measured: by processes that talk to each other."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from shared import ROOT

from blazeface_ros.errors import BackendError
from blazeface_ros.lab.benchmark import nodes

pytestmark = pytest.mark.ros

PLAN = nodes.Plan([(320, 240)], [1], 20.0, 1.5, 1, 'reliable', queue_size=1)


@pytest.fixture(autouse=True)
def no_process_stays():
    """Neither a zombie nor a running process of a test is left."""
    yield
    assert children(os.getpid()) == []


def children(pid):
    """The numbers of a process's children."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            number, _, rest = stat.read_text().partition(' (')
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        if int(rest.rpartition(')')[2].split()[1]) == pid:
            found.append(int(number))
    return found


@pytest.fixture
def broken_cv_bridge(monkeypatch, tmp_path):
    """A cv_bridge that fails at an image, as with an OpenCV for which it was not built."""
    (tmp_path / 'cv_bridge.py').write_text(
        'class CvBridge:\n'
        '    def imgmsg_to_cv2(self, *_):\n'
        "        raise TypeError('the type of the image is not known')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get('PYTHONPATH', '')])
    monkeypatch.setenv('PYTHONPATH', path)


@pytest.mark.network
def test_a_node_is_measured_and_a_reference_node_that_ends_is_reported(broken_cv_bridge, capsys):
    reference = nodes.Setting(nodes.REFERENCE, (320, 240), 1, True)
    settings = [
        reference,
        nodes.Setting(nodes.BARE, (320, 240), 1, True),
        nodes.Setting(nodes.DETECTOR, (320, 240), 1, True),
        reference._replace(profile=False),
    ]
    left = []

    def progress():
        left.extend(children(os.getpid()))

    rows = nodes.measure(PLAN, settings, progress)
    # A busy machine may need several turns to answer an image in one of half a second.
    while not all(row['answered'] for row in rows):
        rows = nodes.measure(PLAN, settings[1:3], progress)
    assert left == []
    assert [row['what'] for row in rows] == [nodes.BARE, nodes.DETECTOR]
    for row in rows:
        assert tuple(row) == nodes.COLUMNS
        assert row['sent'] == 10
        assert 0 < row['median'] <= row['p95']
        assert row['CPU ms/image'] >= 0
    err = capsys.readouterr().err
    assert err.count('the type of the image is not known') == 1
    assert nodes.REFERENCE in err


def test_without_cv_bridge_the_reference_node_is_left_out(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    setting = nodes.Setting(nodes.REFERENCE, (320, 240), 1, False)
    assert nodes.measure(PLAN, [setting]) == []
    assert 'cv_bridge' in capsys.readouterr().err


@pytest.mark.network
def test_a_node_of_this_package_that_ends_by_itself_ends_the_measurement():
    setting = nodes.Setting(nodes.DETECTOR, (320, 240), 1, False)
    with pytest.raises(BackendError, match=r'media_publisher_node.*nowhere'):
        nodes.measure_turn(PLAN, setting, '/nowhere.png', '')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_when_the_benchmark_is_ended_its_nodes_end(number):
    benchmark = subprocess.Popen(
        [sys.executable, '-m', 'blazeface_ros.cli.main', 'benchmark', '--ros'],
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(group := children(benchmark.pid)) < 2:
        assert benchmark.poll() is None
        time.sleep(0.05)
    benchmark.send_signal(number)
    _, err = benchmark.communicate()
    assert benchmark.returncode == 130
    assert 'Traceback' not in err
    assert not any(Path(f'/proc/{pid}').exists() for pid in group)
