"""The programs in docs/python.md run as they stand there."""

import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
from shared import ROOT

PROGRAMS = re.findall(
    r'```python\n(.*?)```', (ROOT / 'docs' / 'python.md').read_text(encoding='utf-8'), re.DOTALL
)
(VIDEO_PROGRAM,) = [program for program in PROGRAMS if 'VideoCapture' in program]
FRAMES = 6


def run(program, *arguments):
    """Run a program in the project's folder and return what it prints."""
    done = subprocess.run(
        [sys.executable, '-c', program, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def video(tmp_path, scene):
    """A video in which five faces move 4 pixels to the left from frame to frame."""
    file = tmp_path / 'walk.avi'
    height, width = scene.shape[:2]
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*'MJPG'), 10.0, (width, height))
    for i in range(FRAMES):
        writer.write(np.roll(scene, -4 * i, axis=1))
    writer.release()
    return file


def test_the_page_has_a_program_for_pictures_and_one_of_20_lines_for_videos():
    assert len(PROGRAMS) >= 3
    assert len(VIDEO_PROGRAM.splitlines()) <= 20


@pytest.mark.network
@pytest.mark.parametrize('program', [p for p in PROGRAMS if p is not VIDEO_PROGRAM])
def test_a_program_without_arguments_runs(program):
    run(program)


@pytest.mark.network
def test_the_video_program_prints_the_same_five_ids_for_each_frame(video):
    lines = [line.split() for line in run(VIDEO_PROGRAM, video).splitlines()]
    assert [line[0] for line in lines] == [str(i) for i in range(FRAMES)]
    assert all(sorted(line[1:]) == [f'f000{i}' for i in range(1, 6)] for line in lines)
