"""What the Ascend backend computes and what it refuses, on the double of acl."""

import re
import sys

import numpy as np
import pytest
from ascend_support import BACK, FRONT, assert_close, open_om

from blazeface_ros import FaceDetector
from blazeface_ros.backends import ascend, open_backend
from blazeface_ros.backends.acl_runtime import AclError
from blazeface_ros.core.frame import Frame
from blazeface_ros.core.sampling import sample
from blazeface_ros.core.tiles import letterbox
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError
from blazeface_ros.models.catalogue import MODELS

pytest_plugins = ['ascend_fixtures']
pytestmark = pytest.mark.onnxruntime

#: Machines and conversions: arguments of `Simulation` and of `write_om`.
VARIANTS = {
    'plain': ({}, {}),
    'one memory for host and device': ({'run_mode': 0}, {}),
    'no timeout call': ({'timeout_call': False}, {}),
    'outputs swapped': ({}, {'swapped': True}),
    'outputs float16': ({}, {'half': True}),
    'outputs padded': ({}, {'padding': 32}),
    'AIPP rgb': ({}, {'aipp': 'rgb'}),
    'AIPP bgr': ({}, {'aipp': 'bgr'}),
    'batches of four': ({}, {'batch': 4}),
    'all at once': (
        {'run_mode': 0, 'timeout_call': False},
        {'swapped': True, 'half': True, 'padding': 64, 'aipp': 'bgr', 'batch': 2},
    ),
}


@pytest.fixture(params=VARIANTS)
def om_detector(request, boot, om):
    machine, conversion = VARIANTS[request.param]
    boot(**machine)
    detector = FaceDetector(str(om(**conversion)), 'ascend')
    yield detector
    detector.close()


def assert_same_faces(found, wanted, half, size):
    assert len(found) == len(wanted)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=2e-2 if half else 1e-3)
    limit = (0.0005 if half else 1e-5) * size
    np.testing.assert_allclose(found.points, wanted.points, atol=limit)


def test_faces_equal_those_of_onnx_runtime(request, om_detector, ort_detector, astronaut, scene):
    half = VARIANTS[request.node.callspec.params['om_detector']][1].get('half', False)
    # A larger batch than any variant takes at once, of pictures of different sizes.
    pictures = [astronaut, scene, astronaut[100:, 50:], scene[:, ::-1], astronaut]
    together = om_detector.detect_batch(pictures)
    for picture, found in zip(pictures, together):
        assert_same_faces(found, ort_detector.detect(picture), half, max(picture.shape))
    single = om_detector.detect(scene)
    assert_same_faces(single, ort_detector.detect(scene), half, max(scene.shape))


@pytest.mark.parametrize('count', [0, 1, 3, 4, 5])
def test_a_batch_is_split_by_the_batch_size_of_the_model(acl, om, inputs, expected, count):
    backend = open_om(om(batch=2))
    found = backend.infer(inputs[:count])
    assert [output.shape for output in found] == [(count, 896, 16), (count, 896, 1)]
    if count:
        assert_close(found, [output[:count] for output in expected])
    assert acl.calls.count('mdl.execute_async') == -(-count // 2)
    backend.close()


def test_outputs_do_not_change_with_the_next_batch(acl, om, inputs):
    backend = open_om(om())
    found = backend.infer(inputs[:1])
    kept = [output.copy() for output in found]
    backend.infer(inputs[1:2])
    for output, copy in zip(found, kept):
        np.testing.assert_array_equal(output, copy)
    backend.close()


@pytest.mark.parametrize('order', ['rgb', 'bgr'])
def test_with_aipp_the_device_gets_the_bytes_of_the_picture(acl, om, order):
    # Every value of a pixel, in each colour.
    values = np.arange(256, dtype=np.uint8)
    bgr = np.empty((256, 256, 3), np.uint8)
    bgr[..., 0], bgr[..., 1], bgr[..., 2] = values, values[:, None], values[::-1]
    backend = open_om(om(aipp=order))
    batch = np.empty((1, 3, 256, 256), np.float32)
    sample(Frame(bgr), letterbox(256, 256), batch[0])
    backend.infer(batch)
    sent = np.frombuffer(acl.last_input, np.uint8).reshape(256, 256, 3)
    np.testing.assert_array_equal(sent, bgr if order == 'bgr' else bgr[..., ::-1])
    assert f'uint8 {order} (AIPP)' in backend.description
    backend.close()


def test_the_order_that_an_aipp_model_reports_can_be_overruled(acl, om, monkeypatch, inputs):
    monkeypatch.setenv(ascend.AIPP_ORDER, 'rgb')
    backend = open_om(om(aipp='bgr'))
    backend.infer(inputs[:1])
    assert 'mdl.get_first_aipp_info' not in acl.calls
    assert 'uint8 rgb' in backend.description
    backend.close()
    monkeypatch.setenv(ascend.AIPP_ORDER, 'yuv')
    with pytest.raises(ConfigurationError, match=r"\$BLAZEFACE_AIPP_ORDER is 'yuv'; it must be"):
        open_om(om(aipp='bgr'))


def test_a_frame_allocates_nothing_on_the_device(acl, om, inputs):
    backend = open_om(om(aipp='bgr'))
    held, calls = acl.ledger, len(acl.calls)
    for _ in range(20):
        backend.infer(inputs[:1])
    assert acl.ledger == held
    assert not {'malloc', 'create', 'load'} & {re.split('[._]', c)[1] for c in acl.calls[calls:]}
    backend.close()


# What it refuses


def test_without_pyacl_one_sentence_says_what_to_source(monkeypatch):
    monkeypatch.setitem(sys.modules, 'acl', None)
    with pytest.raises(BackendError, match=r'needs the Python module acl .*source its set_env\.sh'):
        FaceDetector('back', 'ascend')


@pytest.mark.parametrize('device', ['cpu', 'npu', 'npu:x', 'npu:-1', 'npu:0 '])
def test_an_unknown_device_name_is_refused_with_those_there_are(acl, om, device):
    with pytest.raises(ConfigurationError, match="unknown to backend 'ascend'; there are: auto"):
        open_om(om(), device)


def test_the_device_number_is_used_and_a_missing_device_is_reported(acl, om):
    backend = open_om(om(), 'npu:1')
    assert 'npu:1' in backend.description
    backend.close()
    with pytest.raises(AclError, match=r'rt\.set_device failed with 107001 .*npu-smi info'):
        open_om(om(), 'npu:7')


@pytest.mark.parametrize('model', ['back', str(BACK)])
def test_a_model_that_is_not_converted_is_refused_with_what_to_do(acl, model):
    with pytest.raises(ModelError, match=r'runs \.om files, not .*blazeface convert onnx-to-om'):
        FaceDetector(model, 'ascend')


@pytest.mark.parametrize(
    ('conversion', 'sentence'),
    [
        ({'input_bytes': 786400}, r'takes 786400 bytes, not 786432 for float32 \[1, 3, 256, 256\]'),
        ({'input_bytes': 786464}, 'takes 786464 bytes'),
        ({'aipp': 'rgb', 'input_bytes': 98304}, 'takes 98304 bytes, not 196608 for uint8'),
        ({'inputs': 2}, 'has 2 inputs'),
        ({'input_type': 1}, 'takes data type 1 in format 0, neither float32 NCHW nor uint8 NHWC'),
        ({'input_type': 4}, 'takes data type 4 in format 0'),
        ({'output_type': 3}, 'of data type 3, not float32 or float16'),
        ({'padding': -4}, 'bytes for output'),
        ({'batch': -1}, 'takes batches of -1 inputs'),
    ],
)
def test_a_model_whose_bytes_are_not_the_networks_is_refused(acl, om, conversion, sentence):
    with pytest.raises(ModelError, match=sentence):
        open_om(om(**conversion))


def test_another_network_is_recognised_by_its_shapes(acl, om):
    backend = open_om(om(FRONT))
    assert backend.model.name == 'front'
    backend.close()
    with pytest.raises(ModelError, match='is not the network wanted'):
        open_backend('ascend', MODELS['back'], om(FRONT), device='auto', threads=0)


def test_an_input_of_another_shape_never_reaches_the_device(acl, om, inputs):
    backend = open_om(om())
    calls = len(acl.calls)
    for batch in (inputs[:, :, 1:], inputs[:1].astype(np.float64), inputs[0]):
        with pytest.raises(BackendError, match=r'takes float32 \[N, 3, 256, 256\], got float'):
            backend.infer(batch)
    assert len(acl.calls) == calls
    backend.close()


def test_files_that_are_not_models_of_this_chip_are_refused_with_what_to_do(acl, om, tmp_path):
    (tmp_path / 'damaged.om').write_bytes(b'\0\1\2')
    with pytest.raises(AclError, match=r'load_from_file failed with 145000 .*copy the file again'):
        open_om(tmp_path / 'damaged.om')
    with pytest.raises(AclError, match=r'failed with 500002 .*soc_version .*\(Ascend310B4\)'):
        open_om(om(chip='Ascend310P3'))
    with pytest.raises(AclError, match=r'failed with 145002 .*linux_aarch64'):
        open_om(tmp_path / 'missing.om')
