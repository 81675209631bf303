"""The conversion TFLite → PyTorch → ONNX on MediaPipe's own files."""

import re
import stat
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from blazeface_ros import FaceDetector
from blazeface_ros.backends import open_backend
from blazeface_ros.errors import ConfigurationError, ConversionError
from blazeface_ros.lab import parity
from blazeface_ros.models import conversion
from blazeface_ros.models.catalogue import MODELS, find_model, find_original
from blazeface_ros.models.torch_file import load_network

pytestmark = [pytest.mark.torch, pytest.mark.litert]

PARAMETERS = {
    'back': 136_240,
    'front': 101_390,
    'full_range': 514_069,
    'full_range_sparse': 508_308,
}
every_model = pytest.mark.parametrize('name', MODELS)


@pytest.fixture(scope='session', params=MODELS)
def conversion_files(request, tmp_path_factory):
    """A network, its original file, and the .pth and .onnx files converted from it."""
    model = MODELS[request.param]
    folder = tmp_path_factory.mktemp(model.name)
    original, pth, converted = (
        find_original(model),
        folder / 'network.pth',
        folder / 'network.onnx',
    )
    conversion.tflite_to_torch(original, pth)
    conversion.torch_to_onnx(pth, converted)
    return model, original, pth, converted


def assert_parity(first, second, inputs, tolerance):
    for difference in parity.compare('', first, second, inputs):
        assert difference.within(tolerance), difference


def test_each_step_computes_what_the_original_does(conversion_files, astronaut, scene):
    model, original, pth, converted = conversion_files
    inputs = parity.make_inputs(model, [astronaut, scene])
    reference = open_backend('litert', model, original, device='cpu', threads=1)
    in_torch = open_backend('torch', model, pth, device='cpu', threads=1)
    in_onnx = open_backend('onnxruntime', model, converted, device='cpu', threads=1)
    assert_parity(in_torch.infer, reference.infer, inputs, 1e-4)
    assert_parity(in_onnx.infer, reference.infer, inputs, 1e-4)
    assert_parity(in_onnx.infer, in_torch.infer, {'random': inputs['random']}, 4e-5)


def test_the_shipped_file_has_the_same_weights_to_the_bit(conversion_files):
    model, _, _, converted = conversion_files
    shipped, made = (
        {
            constant.name: numpy_helper.to_array(constant)
            for constant in onnx.load(file).graph.initializer
        }
        for file in (find_model(model.name)[1], converted)
    )
    assert list(shipped) == list(made)
    for name, values in shipped.items():
        np.testing.assert_array_equal(values, made[name])


def test_no_weight_is_lost_or_added(conversion_files):
    model, _, pth, _ = conversion_files
    weights = torch.load(pth, weights_only=True)['weights']
    assert sum(values.numel() for values in weights.values()) == PARAMETERS[model.name]


def test_a_pth_file_names_its_network_and_its_source(conversion_files):
    model, _, pth, _ = conversion_files
    content = torch.load(pth, weights_only=True)
    assert (content['model'], content['source_sha256']) == (model.name, model.source_sha256)


def test_an_onnx_file_names_its_network_and_its_source(conversion_files):
    model, _, _, converted = conversion_files
    found, _, source = load_network(converted)
    assert (found, source) == (model, model.source_sha256)
    assert FaceDetector(str(converted)).model is model


@every_model
def test_a_batch_of_five_equals_five_singles_in_torch(name):
    model, file = find_model(name)
    backend = open_backend('torch', model, file, device='cpu', threads=1)
    size = model.input_size
    batch = np.random.default_rng(5).uniform(-1, 1, (5, 3, size, size)).astype(np.float32)
    together = backend.infer(batch)
    for i in range(5):
        for many, one in zip(together, backend.infer(batch[i : i + 1])):
            np.testing.assert_allclose(many[i], one[0], atol=1e-5 * np.abs(one).max())


@pytest.mark.parametrize('opset', conversion.OPSETS)
def test_every_opset_computes_the_same(opset, tmp_path):
    model, shipped = find_model('full_range')  # the one with the most kinds of operators
    pth, converted = tmp_path / 'n.pth', tmp_path / 'n.onnx'
    conversion.tflite_to_torch(find_original(model), pth)
    conversion.torch_to_onnx(pth, converted, opset=opset)
    assert onnx.load(converted).opset_import[0].version == opset
    x = parity.make_inputs(model, [])['random'][:1]
    for a, b in zip(
        open_backend('onnxruntime', model, converted, device='cpu', threads=1).infer(x),
        open_backend('onnxruntime', model, shipped, device='cpu', threads=1).infer(x),
    ):
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_a_fixed_batch_size_is_written_as_asked(tmp_path):
    pth, converted = tmp_path / 'n.pth', tmp_path / 'n.onnx'
    conversion.tflite_to_torch(find_original(MODELS['back']), pth)
    conversion.torch_to_onnx(pth, converted, batch=3)
    graph = onnx.load(converted).graph
    sizes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.output]
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [3, 3, 256, 256]
    assert sizes == [[3, 896, 16], [3, 896, 1]]


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        ({'opset': 10}, 'opset is 10; it must be from 11 to 18'),
        ({'batch': 0}, "batch is 0; it must be 1 or more, or 'dynamic'"),
    ],
)
def test_options_that_cannot_work_are_refused(options, sentence, tmp_path):
    pth = tmp_path / 'n.pth'
    conversion.tflite_to_torch(find_original(MODELS['front']), pth)
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        conversion.torch_to_onnx(pth, tmp_path / 'n.onnx', **options)
    assert not (tmp_path / 'n.onnx').exists()


# Targets that cannot be written


def test_a_full_disk_leaves_no_half_written_file(tmp_path):
    """The same as a full disk, without one: a process that may write files of 256 KiB only."""
    original = find_original(MODELS['back'])
    convert = f'{sys.executable} -m blazeface_ros.cli.main convert tflite-to-torch'
    done = subprocess.run(
        ['bash', '-c', f'ulimit -f 256; exec {convert} {original} -o {tmp_path}/n.pth'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done
    assert f"'{tmp_path}/n.pth' cannot be written" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').touch()
    original = find_original(MODELS['back'])
    with pytest.raises(ConversionError, match=r"n\.pth' cannot be written: .*File exists"):
        conversion.tflite_to_torch(original, tmp_path / 'file' / 'n.pth')


def test_written_files_can_be_read_by_everyone(conversion_files):
    for file in conversion_files[2:]:
        assert stat.S_IMODE(file.stat().st_mode) == 0o644
