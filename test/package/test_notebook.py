"""The notebook: it runs, finds the faces, and can be read without being run."""

import base64
import re
import runpy

import cv2
import nbformat
import numpy as np
import pytest
from shared import ROOT

pytestmark = [pytest.mark.torch, pytest.mark.notebook, pytest.mark.onnxruntime, pytest.mark.litert]

NOTEBOOK = ROOT / 'notebooks' / 'quick_demo.ipynb'
#: A path on somebody's machine.
ABSOLUTE_PATH = re.compile(r'(?<![\w.])(/(home|root|tmp|work|usr|opt|var|mnt|Users)/|[A-Z]:\\\\)')


@pytest.fixture(scope='module')
def executed(tmp_path_factory):
    """The notebook as run from the top in an empty folder. A cell that fails raises an error."""
    execute = runpy.run_path(str(ROOT / 'tools' / 'run_notebook.py'))['execute']
    return execute(NOTEBOOK, tmp_path_factory.mktemp('notebook'))


@pytest.fixture(scope='module')
def committed():
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(params=['executed', 'committed'])
def notebook(request):
    return request.getfixturevalue(request.param)


def outputs_of(notebook):
    return [output for cell in notebook.cells for output in cell.get('outputs', [])]


def text_of(notebook):
    """What its cells printed, tables included."""
    return '\n'.join(
        output.get('text') or output.get('data', {}).get('text/markdown', '')
        for output in outputs_of(notebook)
    )


def pictures_of(notebook):
    """The pictures its cells show, in bgr order."""
    encoded = (output.get('data', {}).get('image/jpeg') for output in outputs_of(notebook))
    return [
        cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        for data in encoded
        if data
    ]


def test_every_backend_at_hand_finds_the_five_faces(notebook):
    text = text_of(notebook)
    for backend in ('onnxruntime', 'torch', 'litert'):
        assert f'{backend}: 5 faces' in text
        (row,) = re.findall(rf'^\| {backend} \|.*', text, re.MULTILINE)
        assert len(re.findall(r'\b0\.\d{4}\b', row)) == 5


def test_its_pictures_show_the_faces_in_green_boxes(notebook):
    scene, near = pictures_of(notebook)
    for picture, boxes in ((scene, 5), (near, 1)):
        assert picture.shape[1] > 800
        green = np.abs(picture.astype(int) - (0, 255, 0)).max(axis=2) < 80
        # Points lie on the boxes' sides: close the gaps that they make.
        green = cv2.morphologyEx(green.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((25, 25)))
        count, _, stats, _ = cv2.connectedComponentsWithStats(green)
        sizes = stats[1:count, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
        assert (sizes > 55).all(axis=1).sum() == boxes


def test_the_chain_passes_its_check_and_ends_with_the_atc_command(notebook):
    text = text_of(notebook)
    assert 'none above the tolerance of 1e-04' in text
    assert 'onnxruntime - litert' in text
    assert '--input_shape=input:1,3,256,256' in text
    assert 'rbuv_swap_switch: true' in text


def test_the_committed_outputs_are_whole_and_of_no_particular_machine(committed):
    code = [cell for cell in committed.cells if cell.cell_type == 'code']
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(cell.outputs for cell in code)
    assert not any('execution' in cell.metadata for cell in code)
    assert {output.get('name', 'stdout') for output in outputs_of(committed)} == {'stdout'}
    plain = (output.get('data', {}).get('text/plain', '') for output in outputs_of(committed))
    for text in (*(cell.source for cell in committed.cells), text_of(committed), *plain):
        assert not ABSOLUTE_PATH.search(text)
    assert NOTEBOOK.stat().st_size < 500_000
