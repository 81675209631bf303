"""The chain TFLite → PyTorch → ONNX → OM on MediaPipe's own files, and on files that are not."""

import pickle
import re
import stat
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from conftest import ROOT
from onnx import numpy_helper

from blazeface_ros import FaceDetector
from blazeface_ros.backends import open_backend
from blazeface_ros.cli.main import main
from blazeface_ros.errors import ConfigurationError, ConversionError, ModelError
from blazeface_ros.lab import parity
from blazeface_ros.models import conversion
from blazeface_ros.models.catalogue import MODELS, find_model
from blazeface_ros.models.networks import make_network
from blazeface_ros.models.tflite_reader import load_weights
from blazeface_ros.models.torch_file import load_network

PARAMETERS = {
    'back': 136_240,
    'front': 101_390,
    'full_range': 514_069,
    'full_range_sparse': 508_308,
}
every_model = pytest.mark.parametrize('name', MODELS)


@pytest.fixture(scope='session', params=MODELS)
def chain(request, tmp_path_factory):
    """A model, its original file, and what the chain made of it."""
    model = MODELS[request.param]
    folder = tmp_path_factory.mktemp(model.name)
    original, pth, converted = (
        parity.find_original(model), folder / 'network.pth', folder / 'network.onnx'
    )
    conversion.tflite_to_torch(original, pth)
    conversion.torch_to_onnx(pth, converted)
    return model, original, pth, converted


def assert_parity(first, second, inputs, tolerance):
    for difference in parity.compare('', first, second, inputs):
        assert difference.within(tolerance), difference


def test_each_step_computes_what_the_original_does(chain, astronaut, scene):
    model, original, pth, converted = chain
    inputs = parity.make_inputs(model, [astronaut, scene])
    reference = parity.LiteRt(model, original)
    in_torch = open_backend('torch', model, pth, device='cpu', threads=1)
    in_onnx = open_backend('onnxruntime', model, converted, device='cpu', threads=1)
    assert_parity(in_torch.infer, reference.infer, inputs, 1e-4)
    assert_parity(in_onnx.infer, reference.infer, inputs, 1e-4)
    assert_parity(in_onnx.infer, in_torch.infer, {'random': inputs['random']}, 4e-5)


def test_the_shipped_file_has_the_same_weights_to_the_bit(chain):
    model, _, _, converted = chain
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


def test_no_weight_is_lost_or_added(chain):
    model, _, pth, _ = chain
    weights = torch.load(pth, weights_only=True)['weights']
    assert sum(values.numel() for values in weights.values()) == PARAMETERS[model.name]


def test_a_pth_file_tells_its_network_and_its_source(chain):
    model, _, pth, _ = chain
    content = torch.load(pth, weights_only=True)
    assert (content['model'], content['source_sha256']) == (model.name, model.source_sha256)


def test_an_onnx_file_tells_its_network_and_its_source(chain):
    model, _, _, converted = chain
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
    conversion.tflite_to_torch(parity.find_original(model), pth)
    conversion.torch_to_onnx(pth, converted, opset=opset)
    assert onnx.load(converted).opset_import[0].version == opset
    x = parity.make_inputs(model, [])['random'][:1]
    for a, b in zip(
        open_backend('onnxruntime', model, converted, device='cpu', threads=1).infer(x),
        open_backend('onnxruntime', model, shipped, device='cpu', threads=1).infer(x),
    ):
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_a_fixed_batch_and_another_size_are_written_as_asked(tmp_path):
    pth, converted = tmp_path / 'n.pth', tmp_path / 'n.onnx'
    conversion.tflite_to_torch(parity.find_original(MODELS['back']), pth)
    conversion.torch_to_onnx(pth, converted, batch=3, height=160, width=256)
    graph = onnx.load(converted).graph
    sizes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.output]
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [3, 3, 160, 256]
    assert sizes == [[3, 560, 16], [3, 560, 1]]


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        ({'opset': 10}, 'opset is 10; it must be from 11 to 18'),
        ({'batch': 0}, "batch is 0; it must be 1 or more, or 'dynamic'"),
        ({'height': 100}, 'height is 100; it must be a multiple of 32'),
    ],
)
def test_options_that_cannot_work_are_refused(options, sentence, tmp_path):
    pth = tmp_path / 'n.pth'
    conversion.tflite_to_torch(parity.find_original(MODELS['front']), pth)
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        conversion.torch_to_onnx(pth, tmp_path / 'n.onnx', **options)
    assert not (tmp_path / 'n.onnx').exists()


# Files that are not what they should be


@pytest.mark.parametrize('share', [0, 0.001, 0.1, 0.5, 0.99, 0.9999])
def test_a_truncated_tflite_file_is_refused(share, tmp_path):
    data = parity.find_original(MODELS['full_range_sparse']).read_bytes()
    file = tmp_path / 'cut.tflite'
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match=r'cut.tflite'):
        conversion.tflite_to_torch(file, tmp_path / 'n.pth')
    assert not (tmp_path / 'n.pth').exists()


def test_damaged_bytes_are_refused_or_harmless(tmp_path):
    data = bytearray(parity.find_original(MODELS['front']).read_bytes())
    rng = np.random.default_rng(6)
    file = tmp_path / 'damaged.tflite'
    refused = 0
    for _ in range(60):
        damaged = bytearray(data)
        # The graph stands at the end of the file, the weights before it.
        for place in rng.integers(len(data) * 4 // 5, len(data), 8):
            damaged[place] ^= int(rng.integers(1, 256))
        file.write_bytes(damaged)
        try:
            load_weights(make_network('front'), file)
        except ModelError as error:
            assert 'damaged.tflite' in str(error)
            refused += 1
    assert refused > 10


def test_another_networks_tflite_file_is_refused_by_the_first_difference():
    folder = parity.find_original(MODELS['back']).parent
    with pytest.raises(ModelError, match='its input is 64 pixels wide; known are: back 256, front'):
        conversion.identify_tflite(folder / 'iris_landmark.tflite')
    with pytest.raises(ModelError, match=r'is another network: tensor \d+ .* wanted'):
        load_weights(make_network('front'), parity.find_original(MODELS['back']))


def test_a_pth_file_that_would_run_code_is_refused(tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / 'ran'), 'w'))

    file = tmp_path / 'attack.pth'
    for write in (
        lambda: torch.save({'model': 'back', 'weights': Attack()}, file),
        lambda: file.write_bytes(pickle.dumps(Attack())),
    ):
        write()
        with pytest.raises(ModelError, match='holds more than plain weights'):
            load_network(file)
        assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        ({'weights': {}}, "wanted are 'model', 'source_sha256' and 'weights'"),
        ([1, 2], "wanted are 'model'"),
        ({'model': 'side', 'source_sha256': '', 'weights': {}}, "holds the network 'side'"),
        ({'model': 'back', 'source_sha256': '', 'weights': {}}, "is not the network 'back'"),
    ],
)
def test_a_pth_file_of_something_else_is_refused(content, sentence, tmp_path):
    file = tmp_path / 'other.pth'
    torch.save(content, file)
    with pytest.raises(ModelError, match=sentence):
        load_network(file)


def test_a_shipped_file_that_was_changed_is_refused(tmp_path, monkeypatch):
    from blazeface_ros.models import catalogue

    weights = tmp_path / 'weights'
    weights.mkdir()
    for name in ('blazeface_back.onnx', 'MANIFEST.json'):
        (weights / name).write_bytes((ROOT / 'weights' / name).read_bytes())
    with (weights / 'blazeface_back.onnx').open('ab') as file:
        file.write(b'\0')
    monkeypatch.setattr(catalogue, 'shared_file', lambda name: tmp_path / name)
    with pytest.raises(ModelError, match=r'has SHA-256 \w+, but was shipped with \w+'):
        catalogue.find_model('back')


# Targets that cannot be written


def test_a_full_disk_leaves_no_half_written_file(tmp_path):
    """The same as a full disk, without one: a process that may write files of 256 KiB only."""
    original = parity.find_original(MODELS['back'])
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
    original = parity.find_original(MODELS['back'])
    with pytest.raises(ConversionError, match=r"n\.pth' cannot be written: .*File exists"):
        conversion.tflite_to_torch(original, tmp_path / 'file' / 'n.pth')


def test_written_files_can_be_read_by_everyone(chain):
    for file in chain[2:]:
        assert stat.S_IMODE(file.stat().st_mode) == 0o644


# The commands


def test_the_whole_way_ends_with_the_atc_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('PATH', '/usr/bin:/bin')
    original = parity.find_original(MODELS['back'])
    assert main(['convert', 'all', str(original), '-o', str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert {file.name for file in tmp_path.iterdir()} == {
        'blazeface_back.pth',
        'blazeface_back.onnx',
        'blazeface_back_aipp_bgr.cfg',
    }
    assert printed.count('none above the tolerance of 1e-04') == 2
    assert printed.splitlines()[-1] == (
        f'atc --model={tmp_path}/blazeface_back.onnx --framework=5 '
        f'--output={tmp_path}/blazeface_back --soc_version=Ascend310B4 '
        '--precision_mode=allow_fp32_to_fp16 --input_shape=input:1,3,256,256 '
        f'--insert_op_conf={tmp_path}/blazeface_back_aipp_bgr.cfg'
    )
    shipped = (ROOT / 'weights' / 'blazeface_back.onnx').read_bytes()
    assert (tmp_path / 'blazeface_back.onnx').read_bytes() == shipped


def test_a_dry_run_prints_the_atc_command_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    before = sorted((ROOT / 'weights').iterdir())
    file = 'weights/blazeface_back.onnx'
    arguments = ['convert', 'onnx-to-om', file, '--soc-version', 'Ascend310', '--dry-run']
    assert main(arguments) == 0
    assert capsys.readouterr().out == (
        'atc --model=weights/blazeface_back.onnx --framework=5 --output=weights/blazeface_back '
        '--soc_version=Ascend310 --precision_mode=allow_fp32_to_fp16 '
        '--input_shape=input:1,3,256,256\n'
    )
    assert sorted((ROOT / 'weights').iterdir()) == before


@pytest.fixture
def om_arguments(tmp_path):
    return [
        *('convert', 'onnx-to-om', str(ROOT / 'weights' / 'blazeface_back.onnx')),
        *('--soc-version', 'Ascend310B4', '-o', str(tmp_path / 'back.om')),
    ]


def test_without_atc_it_says_where_it_comes_from_with_exit_code_3(
    om_arguments, capsys, monkeypatch, tmp_path
):
    monkeypatch.setenv('PATH', '/usr/bin:/bin')
    assert main([*om_arguments, '--aipp', 'rgb']) == 3
    assert 'it comes with the CANN toolkit' in capsys.readouterr().out
    text = (tmp_path / 'back_aipp_rgb.cfg').read_text()
    assert 'rbuv_swap_switch: false' in text
    assert 'src_image_size_w: 256' in text


@pytest.mark.parametrize(('code', 'expected'), [(0, 0), (1, 2)])
def test_atc_is_called_and_its_log_shown_if_it_fails(
    om_arguments, capsys, monkeypatch, tmp_path, code, expected
):
    atc = tmp_path / 'bin' / 'atc'
    atc.parent.mkdir()
    atc.write_text(f'#!/bin/sh\necho "E10016 of $1"\nexit {code}\n')
    atc.chmod(0o755)
    monkeypatch.setenv('PATH', f'{atc.parent}:/usr/bin:/bin')
    assert main(om_arguments) == expected
    printed = capsys.readouterr()
    assert ('E10016 of --model=' in printed.err) == bool(code)


def test_a_wrong_soc_version_is_refused_with_examples(om_arguments, capsys):
    om_arguments[om_arguments.index('Ascend310B4')] = '310B4'
    assert main(om_arguments) == 2
    assert "soc_version is '310B4'; it must be 'Ascend' and" in capsys.readouterr().err


def test_an_onnx_file_of_something_else_is_refused(om_arguments, capsys, tmp_path):
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ['N', 4])
        for name in ('input', 'output')
    ]
    node = onnx.helper.make_node('Relu', ['input'], ['output'])
    graph = onnx.helper.make_graph([node], 'relu', values[:1], values[1:])
    onnx.save(onnx.helper.make_model(graph), tmp_path / 'relu.onnx')
    om_arguments[2] = str(tmp_path / 'relu.onnx')
    assert main(om_arguments) == 2
    assert 'takes [0, 4] (0: free); wanted is a network of this chain' in capsys.readouterr().err


def test_parity_compares_with_all_that_is_installed(capsys):
    assert main(['parity', '--model', 'front']) == 0
    printed = capsys.readouterr().out
    assert 'onnxruntime - torch' in printed
    assert 'onnxruntime - litert' in printed


def test_parity_fails_above_the_tolerance(capsys):
    arguments = ['parity', '--against', 'litert', '--tolerance', '1e-9']
    assert main(arguments) == 1
    assert '4 above the tolerance of 1e-09' in capsys.readouterr().out


def test_parity_refuses_what_it_does_not_know(capsys):
    assert main(['parity', '--against', 'banana']) == 2
    assert "--against 'banana' is unknown; there are: onnxruntime" in capsys.readouterr().err
