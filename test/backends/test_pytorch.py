"""The PyTorch backend."""

import sys

import numpy as np
import pytest

from blazeface_ros import FaceDetector
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError

pytestmark = pytest.mark.torch


@pytest.fixture(scope='module')
def in_torch():
    return FaceDetector(backend='torch', device='cpu', threads=1)


def test_it_finds_what_onnx_runtime_finds(in_torch, detector, scene, astronaut):
    for picture in (scene, astronaut):
        found, expected = in_torch.detect(picture), detector.detect(picture)
        assert len(found) == len(expected)
        np.testing.assert_allclose(found.points, expected.points, atol=0.02)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


def test_results_belong_to_the_caller(in_torch, astronaut, scene):
    faces = in_torch.detect(astronaut)
    before = faces.boxes.copy()
    in_torch.detect(scene)
    assert faces.boxes.flags.writeable
    np.testing.assert_array_equal(faces.boxes, before)


def test_its_description_says_what_runs_the_network(in_torch):
    assert in_torch.backend.description.startswith('PyTorch ')
    assert in_torch.backend.description.endswith(', CPU')


@pytest.mark.parametrize(
    ('options', 'error', 'sentence'),
    [
        ({'device': 'tpu'}, ConfigurationError, "device 'tpu' is unknown to backend 'torch'"),
        ({'device': 'mps'}, ConfigurationError, "device 'mps' is unknown to backend 'torch'"),
        ({'device': 'cuda:77'}, BackendError, "'cuda:77' is not available: PyTorch .* finds"),
        ({'model': __file__}, ModelError, 'reads .pth and .onnx files'),
    ],
)
def test_what_cannot_work_is_refused(options, error, sentence):
    with pytest.raises(error, match=sentence):
        FaceDetector(**{'backend': 'torch', **options})


@pytest.mark.parametrize('package', ['torch', 'onnx'])
def test_without_a_package_one_sentence_says_what_to_install(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises((BackendError, ModelError), match=f'package {package}.* pip install'):
        FaceDetector(backend='torch')


def test_a_failing_network_is_a_backend_error(in_torch):
    with pytest.raises(BackendError, match='PyTorch could not run the network'):
        in_torch.backend.infer(np.zeros((1, 4, 256, 256), np.float32))
