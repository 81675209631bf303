"""The ONNX Runtime backend on .onnx files that are not the shipped ones."""

import threading

import numpy as np
import onnx
import pytest
from moody_network import end_hang, write_moody_network

from blazeface_ros import FaceDetector
from blazeface_ros.backends import open_backend
from blazeface_ros.errors import BackendError, ModelError
from blazeface_ros.models.catalogue import find_model

pytestmark = [pytest.mark.torch, pytest.mark.onnxruntime]


def with_batch(size, path):
    """The shipped network, converted with a fixed batch size."""
    model = onnx.load(find_model('back')[1])
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = size
    onnx.save(model, path)
    return str(path)


@pytest.mark.parametrize('threads', [1, 2])
def test_a_file_with_batch_size_1_takes_several_pictures(tmp_path, scene, threads):
    detector = FaceDetector(with_batch(1, tmp_path / 'one.onnx'), threads=threads)
    counts = [len(faces) for faces in detector.detect_batch([scene] * 3)]
    assert counts == [5, 5, 5]


def test_a_file_with_another_fixed_batch_size_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ModelError, match=r'takes batches of 4 .* --batch dynamic'):
        FaceDetector(with_batch(4, tmp_path / 'four.onnx'))


def test_another_network_is_refused_by_its_shapes(tmp_path):
    shape = ['N', 3, 64, 64]
    value = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name in ('input', 'output')
    ]
    node = onnx.helper.make_node('Relu', ['input'], ['output'])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], 'relu', value[:1], value[1:]))
    model.ir_version = 8
    model.opset_import[0].version = 13
    onnx.save(model, tmp_path / 'relu.onnx')
    with pytest.raises(ModelError, match=r'takes \(3, 64, 64\) to .* not the network wanted'):
        FaceDetector(str(tmp_path / 'relu.onnx'))


def test_outputs_are_recognised_by_their_shape_not_by_their_order(tmp_path):
    model, file = find_model('back')
    backend = open_backend('onnxruntime', model, file, device='cpu', threads=1)
    inputs = np.random.default_rng(0).uniform(-1, 1, (1, 3, 256, 256)).astype(np.float32)
    swapped = onnx.load(file)
    outputs = list(swapped.graph.output)
    del swapped.graph.output[:]
    swapped.graph.output.extend(reversed(outputs))
    onnx.save(swapped, tmp_path / 'swapped.onnx')
    other = open_backend('onnxruntime', model, tmp_path / 'swapped.onnx', device='cpu', threads=1)
    for first, second in zip(backend.infer(inputs), other.infer(inputs)):
        np.testing.assert_array_equal(first, second)


def test_a_batch_that_fails_is_reported_when_none_of_its_inputs_runs_any_more(tmp_path):
    file = tmp_path / 'moody.onnx'
    write_moody_network(file)
    moody = open_backend('onnxruntime', None, file, device='cpu', threads=2)
    black, white = (np.full((1, 3, 256, 256), value, np.float32) for value in (-1, 1))
    events = []

    def infer_both():
        with pytest.raises(BackendError):
            moody.infer(np.concatenate([black, white]))
        events.append('reported')

    thread = threading.Thread(target=infer_both)
    thread.start()
    try:
        # The black input fails many times meanwhile, so that its failure in the batch is long past.
        for _ in range(20):
            with pytest.raises(BackendError):
                moody.infer(black)
        events.append('the white input ends')
    finally:
        end_hang(file)
    thread.join()
    assert events == ['the white input ends', 'reported']
    moody.close()
