"""The ONNX Runtime backend on the shipped networks."""

import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from shared import PICTURES

from blazeface_ros import FaceDetector
from blazeface_ros.backends import onnx_runtime, open_backend
from blazeface_ros.backends.onnx_runtime import ACCELERATORS, CPU
from blazeface_ros.core.frame import Frame
from blazeface_ros.core.sampling import sample
from blazeface_ros.core.tiles import letterbox
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError
from blazeface_ros.models.catalogue import find_model

pytestmark = pytest.mark.onnxruntime

#: A device that the installed build of ONNX Runtime does not have. No build has all of them.
MISSING = next(
    name
    for name, accelerator in ACCELERATORS.items()
    if accelerator.provider not in onnxruntime.get_available_providers()
)


@pytest.fixture(scope='module')
def backend():
    return open_backend('onnxruntime', *find_model('back'), device='cpu', threads=1)


@pytest.fixture(scope='module')
def inputs(astronaut, scene):
    """A batch of real and of random inputs."""
    batch = np.random.default_rng(0).uniform(-1, 1, (4, 3, 256, 256)).astype(np.float32)
    for picture, out in zip((astronaut, scene), batch):
        frame = Frame(picture)
        sample(frame, letterbox(frame.width, frame.height), out)
    return batch


@pytest.mark.parametrize('threads', [1, 3])
def test_a_batch_equals_its_single_inputs(backend, inputs, threads):
    batches = open_backend('onnxruntime', *find_model('back'), device='cpu', threads=threads)
    coordinates, logits = batches.infer(inputs)
    batches.close()
    assert len(coordinates) == len(logits) == len(inputs)
    for i, planes in enumerate(inputs):
        single = backend.infer(planes[None])
        np.testing.assert_allclose(coordinates[i], single[0][0], rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(logits[i], single[1][0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize('threads', [1, 2])
def test_a_batch_that_fails_is_reported(threads):
    backend = open_backend('onnxruntime', *find_model('back'), device='cpu', threads=threads)
    sentence = r'(?s)ONNX Runtime could not run the network: .*Got: 128'
    with pytest.raises(BackendError, match=sentence):
        backend.infer(np.zeros((2, 3, 128, 128), np.float32))
    coordinates, _ = backend.infer(np.zeros((2, 3, 256, 256), np.float32))
    assert len(coordinates) == 2
    backend.close()


def test_an_input_of_another_size_is_a_backend_error(backend):
    with pytest.raises(BackendError, match='ONNX Runtime could not run the network'):
        backend.infer(np.zeros((1, 3, 64, 64), np.float32))


@pytest.mark.parametrize('threads', [1, 2])
def test_the_threads_of_every_session_sleep_while_they_have_nothing_to_do(threads):
    backend = open_backend('onnxruntime', *find_model('back'), device='cpu', threads=threads)
    for session in (backend._session, backend._one_thread):
        options = session.get_session_options()
        for pool in ('intra_op', 'inter_op'):
            assert options.get_session_config_entry(f'session.{pool}.allow_spinning') == '0'
    backend.close()


def test_a_file_that_is_not_a_network_is_named():
    with pytest.raises(ModelError, match=r"model file '.*scene.jpg' is not a readable ONNX file"):
        FaceDetector(str(PICTURES / 'scene.jpg'))


def test_without_onnxruntime_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(BackendError, match=r'needs the Python package onnxruntime .*pip install'):
        FaceDetector()


@pytest.mark.parametrize(
    'device', ['gpu', 'cuda:', 'cuda:x', 'cuda:-1', 'cpu:0', 'npu:0 ', 'openvino:TOASTER']
)
def test_an_unknown_device_name_is_refused_with_those_there_are(device):
    with pytest.raises(ConfigurationError) as caught:
        FaceDetector(device=device)
    assert str(caught.value) == (
        f"device '{device}' is unknown to backend 'onnxruntime'; there are: auto, cpu, cuda[:N], "
        'tensorrt[:N], openvino[:DEVICE], npu[:N]'
    )


@pytest.mark.parametrize(
    ('device', 'package'),
    [
        ('cuda:1', 'onnxruntime-gpu'),
        ('tensorrt', 'onnxruntime-gpu'),
        ('openvino:GPU.1', 'onnxruntime-openvino'),
        ('npu:0', 'onnxruntime-cann'),
    ],
)
def test_a_device_of_another_build_of_onnxruntime_names_its_package(device, package, monkeypatch):
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: ['CPUExecutionProvider'])
    with pytest.raises(BackendError, match=f"device '{device}' needs .*pip install {package} in"):
        FaceDetector(device=device)


@pytest.fixture
def silent(monkeypatch):
    """A device whose provider is listed by ONNX Runtime, which then leaves it out silently."""
    provider = ACCELERATORS[MISSING].provider
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [provider, CPU])
    return MISSING


@pytest.mark.filterwarnings('ignore:Specified provider')
def test_the_cpu_in_place_of_the_asked_device_is_an_error(silent, capfd):
    with pytest.raises(BackendError) as caught:
        FaceDetector(device=silent)
    assert str(caught.value).startswith(
        f"device '{silent}' was asked for, but CPUExecutionProvider would run the network, as "
        f'{ACCELERATORS[silent].provider} does not start'
    )
    assert capfd.readouterr().out == ''


@pytest.mark.filterwarnings('ignore:Specified provider')
def test_auto_uses_the_cpu_in_its_place_and_says_so(silent, astronaut, monkeypatch):
    monkeypatch.setattr(onnx_runtime, 'AUTOMATIC', (silent,))
    detector = FaceDetector(device='auto')
    assert detector.backend.description.endswith(', CPUExecutionProvider')
    assert len(detector.detect(astronaut)) == 1


@pytest.mark.filterwarnings('ignore:Specified provider')
def test_a_damaged_file_is_refused_as_such_on_every_device(silent):
    with pytest.raises(ModelError, match='is not a readable ONNX file'):
        FaceDetector(str(PICTURES / 'scene.jpg'), device=silent)


@pytest.mark.parametrize('device', ACCELERATORS)
def test_a_device_computes_what_the_cpu_does_or_says_why_not(device, backend, inputs):
    try:
        other = open_backend('onnxruntime', *find_model('back'), device=device, threads=1)
    except BackendError as error:
        assert f"device '{device}'" in str(error)
        return
    for found, wanted in zip(other.infer(inputs), backend.infer(inputs)):
        np.testing.assert_allclose(found, wanted, atol=2e-2 * abs(wanted).max(), rtol=0)


def test_the_core_imports_no_heavy_library():
    code = (
        'import sys, blazeface_ros, blazeface_ros.cli.main; heavy = '
        '{"torch", "onnxruntime", "onnx", "rclpy", "acl", "tflite", "ai_edge_litert"}; '
        'print(sorted(heavy & set(sys.modules)))'
    )
    printed = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert printed.stdout == '[]\n'
