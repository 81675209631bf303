"""The programs in tools/, called as a developer would."""

import runpy
import subprocess
import sys

import numpy as np
import pytest
from shared import ROOT

TOOLS = ROOT / 'tools'


def run_tool(name, *arguments, **options):
    """Run a tool as a process of its own."""
    command = [sys.executable, str(TOOLS / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.mark.parametrize(
    'name',
    [
        'demo.py',
        pytest.param('measure_scan.py', marks=pytest.mark.evaluation),
        'ros_wheels/setup_venv.py',
    ],
)
def test_help_describes_the_options(name):
    done = run_tool(name, '--help')
    assert done.returncode == 0
    assert f'usage: {name.rpartition("/")[2]}' in done.stdout


@pytest.mark.ros
def test_a_demo_of_a_source_that_does_not_exist_fails_with_the_reason(tmp_path):
    done = run_tool('demo.py', '--source', '/nowhere.png', cwd=tmp_path)
    assert done.returncode == 1
    assert '/nowhere.png' in done.stderr


@pytest.mark.network
@pytest.mark.evaluation
def test_a_scan_is_measured_beside_an_exhaustive_search():
    arguments = ['--clips', '1', '--seconds', '0.5', '--smallest-face', '60', '--tiles', '2']
    done = run_tool('measure_scan.py', *arguments)
    assert done.stderr == ''
    first, heading, *rows = done.stdout.splitlines()
    tiles, bound = (int(word) for word in first.split() if word.isdecimal())
    assert bound == 2 * tiles > 2
    assert heading.split()[0] == 'search'
    assert [row.split()[0] for row in rows] == ['exhaustive', 'scan']


@pytest.mark.network
@pytest.mark.evaluation
@pytest.mark.long
def test_a_scan_finds_nearly_what_an_exhaustive_search_finds_and_ids_stay():
    done = run_tool('measure_scan.py', '--clips', '2')
    assert done.returncode == 0, done.stderr
    recall, false, changed, persons = {}, {}, {}, {}
    for row in done.stdout.splitlines()[2:]:
        name, *numbers = row.replace(' of ', ' ').split()
        recall[name], false[name] = float(numbers[0]), int(numbers[1])
        changed[name], persons[name] = int(numbers[2]), int(numbers[3])
    assert recall['exhaustive'] >= 0.95
    assert recall['scan'] >= 0.9 * recall['exhaustive']
    assert false['exhaustive'] <= 2  # in 400 frames
    for name in ('exhaustive', 'scan'):
        assert changed[name] <= persons[name] / 10


def test_the_bundled_scene_is_made_of_the_bundled_portrait(astronaut, scene):
    make_scene = runpy.run_path(str(TOOLS / 'make_scene.py'))['make_scene']
    made = make_scene(astronaut)
    assert made.shape == scene.shape
    assert np.abs(made.astype(int) - scene).mean() < 2  # JPEG loses a little
