"""Reading the structure of .tflite files, without the networks in PyTorch."""

import pytest
from shared import PICTURES

from blazeface_ros.errors import ModelError
from blazeface_ros.models.catalogue import MODELS, find_original
from blazeface_ros.models.conversion import identify_tflite
from blazeface_ros.models.tflite_file import TfliteFile

pytestmark = pytest.mark.litert

every_model = pytest.mark.parametrize('model', MODELS.values(), ids=MODELS)


@every_model
def test_an_original_file_is_identified(model):
    assert identify_tflite(find_original(model)) == (model, model.source_sha256)


def test_a_file_with_other_bytes_is_identified_by_the_size_of_its_input(tmp_path):
    file = tmp_path / 'longer.tflite'
    file.write_bytes(find_original(MODELS['front']).read_bytes() + b'\0')
    model, sha256 = identify_tflite(file)
    assert model is MODELS['front']
    assert sha256 != model.source_sha256


def test_a_network_with_another_input_is_refused():
    iris = find_original(MODELS['back']).with_name('iris_landmark.tflite')
    with pytest.raises(ModelError, match='its input is 64 pixels wide; known are: back 256, front'):
        identify_tflite(iris)


@every_model
def test_every_tensor_of_the_graph_is_computed_before_it_is_used(model):
    file = TfliteFile(find_original(model).read_bytes())
    computed = set(file.inputs)
    for operation in file.operations():
        assert set(operation.inputs) <= computed
        computed.add(operation.output)
    assert set(file.outputs) <= computed


def test_a_sparse_constant_is_unpacked_with_zeros_between_its_values():
    file = TfliteFile(find_original(MODELS['full_range_sparse']).read_bytes())
    kernels = [item.constants[0] for item in file.operations() if item.kind == 'CONV_2D']
    # The last block of the network, and the head, which is stored densely.
    sparse = file.constant(kernels[-3], (48, 1, 1, 24))
    dense = file.constant(kernels[-1], (64, 1, 1, 48))
    assert 0.5 < (sparse == 0).mean() < 0.9
    assert (dense == 0).mean() < 0.1


def test_a_constant_of_another_shape_is_refused_and_named():
    file = TfliteFile(find_original(MODELS['full_range_sparse']).read_bytes())
    kernel = [item.constants[0] for item in file.operations() if item.kind == 'CONV_2D'][-1]
    with pytest.raises(ModelError, match=r'tensor \d+ \(.*\) is \[64, 1, 1, 48\], wanted'):
        file.constant(kernel, (48, 1, 1, 64))


@pytest.mark.parametrize('share', [0, 0.001, 0.1, 0.5])
def test_a_truncated_file_is_refused(share, tmp_path):
    data = find_original(MODELS['full_range_sparse']).read_bytes()
    file = tmp_path / 'cut.tflite'
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match=r'cut\.tflite'):
        identify_tflite(file)


def test_a_file_that_is_missing_or_something_else_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere\.tflite' cannot be read"):
        identify_tflite(tmp_path / 'nowhere.tflite')
    with pytest.raises(ModelError, match=r"scene\.jpg' is not a \.tflite file"):
        identify_tflite(PICTURES / 'scene.jpg')
