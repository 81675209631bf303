"""The ONNX Runtime backend against the original network, and against files that are none."""

import sys
import time

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter
from conftest import PICTURES
from moody_network import write_moody_network

from blazeface_ros import FaceDetector
from blazeface_ros.backends import open_backend
from blazeface_ros.core.tiles import Frame, crop, whole_frame
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError
from blazeface_ros.models.catalogue import find_model


@pytest.fixture(scope='module')
def backend():
    return open_backend('onnxruntime', *find_model('back'), device='cpu', threads=1)


@pytest.fixture(scope='module')
def inputs(astronaut, scene):
    """A batch of real and of random inputs."""
    batch = np.random.default_rng(0).uniform(-1, 1, (4, 3, 256, 256)).astype(np.float32)
    for picture, out in zip((astronaut, scene), batch):
        crop(Frame(picture), whole_frame(0, Frame(picture)), out)
    return batch


def test_the_network_equals_the_original_tflite_file(backend, inputs, original_models):
    reference = Interpreter(str(original_models / 'face_detection_back.tflite'))
    reference.allocate_tensors()
    for planes in inputs:
        reference.set_tensor(
            reference.get_input_details()[0]['index'], planes.transpose(1, 2, 0)[None]
        )
        reference.invoke()
        expected = {
            output['shape'][-1]: reference.get_tensor(output['index'])
            for output in reference.get_output_details()
        }
        coordinates, logits = backend.infer(planes[None])
        # Where there might be a face, to 1e-4. Elsewhere raw values reach thousands, and float32
        # rounds them by more than that in both: there, to a share of the largest value.
        maybe_a_face = expected[1][0, :, 0] > -2.2  # a score of 0.1
        for found, wanted in ((coordinates, expected[16]), (logits, expected[1])):
            np.testing.assert_allclose(
                found[0, maybe_a_face], wanted[0, maybe_a_face], atol=1e-4, rtol=0
            )
            np.testing.assert_allclose(found, wanted, atol=1e-5 * abs(wanted).max(), rtol=0)


@pytest.mark.parametrize('threads', [1, 3])
def test_a_batch_equals_its_single_windows(backend, inputs, threads):
    batches = open_backend('onnxruntime', *find_model('back'), device='cpu', threads=threads)
    coordinates, logits = batches.infer(inputs)
    batches.close()
    assert len(coordinates) == len(logits) == len(inputs)
    for i, planes in enumerate(inputs):
        single = backend.infer(planes[None])
        np.testing.assert_allclose(coordinates[i], single[0][0], rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(logits[i], single[1][0], rtol=1e-5, atol=1e-4)


def test_idle_threads_do_not_spin(astronaut):
    """With two threads, waiting between frames must cost no CPU."""
    detector = FaceDetector(threads=2)
    for _ in range(3):
        detector.detect(astronaut)
        detector.detect_batch([astronaut] * 3)
    before = time.process_time()
    time.sleep(1)
    assert time.process_time() - before < 0.2


@pytest.mark.parametrize('threads', [1, 2])
def test_a_batch_that_fails_is_told(threads):
    backend = open_backend('onnxruntime', *find_model('back'), device='cpu', threads=threads)
    sentence = r'(?s)ONNX Runtime could not run the network: .*Got: 128'
    with pytest.raises(BackendError, match=sentence):
        backend.infer(np.zeros((2, 3, 128, 128), np.float32))
    coordinates, _ = backend.infer(np.zeros((2, 3, 256, 256), np.float32))
    assert len(coordinates) == 2
    backend.close()


def test_a_file_that_is_no_network_is_named():
    with pytest.raises(ModelError, match=r"model file '.*scene.jpg' is not a readable ONNX file"):
        FaceDetector(str(PICTURES / 'scene.jpg'))


def test_no_picture_of_a_failing_batch_goes_on_unseen(tmp_path):
    write_moody_network(tmp_path / 'moody.onnx', products=100)
    moody = open_backend(
        'onnxruntime', None, tmp_path / 'moody.onnx', device='cpu', threads=2
    )
    black, white = (np.full((1, 3, 256, 256), value, np.float32) for value in (-1, 1))
    begin = time.monotonic()
    moody.infer(white)
    alone = time.monotonic() - begin
    begin = time.monotonic()
    with pytest.raises(BackendError):
        moody.infer(np.concatenate([black, white]))
    assert time.monotonic() - begin > alone / 3


def with_batch(size, path):
    """The shipped network, converted with a fixed batch size."""
    model = onnx.load(find_model('back')[1])
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = size
    onnx.save(model, path)
    return str(path)


@pytest.mark.parametrize('threads', [1, 2])
def test_a_file_for_single_pictures_takes_several_all_the_same(tmp_path, scene, threads):
    detector = FaceDetector(with_batch(1, tmp_path / 'one.onnx'), threads=threads)
    counts = [len(faces) for faces in detector.detect_batch([scene] * 3)]
    assert counts == [5, 5, 5]


def test_a_file_for_batches_of_one_size_alone_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ModelError, match=r'takes 4 pictures at once .* with --batch dynamic'):
        FaceDetector(with_batch(4, tmp_path / 'four.onnx'))


def test_another_network_is_told_apart_by_its_shapes(tmp_path):
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
    with pytest.raises(ModelError, match=r"takes \(3, 64, 64\) to .* not the network wanted"):
        FaceDetector(str(tmp_path / 'relu.onnx'))


def test_outputs_are_told_apart_by_shape_not_by_order(tmp_path, backend, inputs):
    model, file = find_model('back')
    swapped = onnx.load(file)
    outputs = list(swapped.graph.output)
    del swapped.graph.output[:]
    swapped.graph.output.extend(reversed(outputs))
    onnx.save(swapped, tmp_path / 'swapped.onnx')
    other = open_backend('onnxruntime', model, tmp_path / 'swapped.onnx', device='cpu', threads=1)
    for first, second in zip(backend.infer(inputs[:1]), other.infer(inputs[:1])):
        np.testing.assert_array_equal(first, second)


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
    import onnxruntime

    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: ['CPUExecutionProvider'])
    with pytest.raises(BackendError, match=f"device '{device}' needs .*pip install {package} in"):
        FaceDetector(device=device)


@pytest.fixture
def without_its_libraries(monkeypatch):
    """An ONNX Runtime that has CUDA, and leaves it out in silence when it is asked for."""
    import onnxruntime

    if 'CUDAExecutionProvider' in onnxruntime.get_available_providers():
        pytest.skip('CUDA may work here')
    providers = ['CUDAExecutionProvider', 'CPUExecutionProvider']
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: providers)


@pytest.mark.filterwarnings('ignore:Specified provider')
def test_the_cpu_in_place_of_the_asked_device_is_an_error(without_its_libraries, capfd):
    with pytest.raises(BackendError) as caught:
        FaceDetector(device='cuda:0')
    assert str(caught.value).startswith(
        "device 'cuda:0' was asked for, but CPUExecutionProvider would run the network, as "
        'CUDAExecutionProvider does not start'
    )
    assert capfd.readouterr().out == ''


@pytest.mark.filterwarnings('ignore:Specified provider')
def test_auto_goes_on_with_the_cpu_and_says_so(without_its_libraries, astronaut):
    detector = FaceDetector(device='auto')
    assert detector.backend.description.endswith(', CPUExecutionProvider')
    assert len(detector.detect(astronaut)) == 1


@pytest.mark.filterwarnings('ignore:Specified provider')
def test_a_damaged_file_is_told_as_such_on_every_device(without_its_libraries):
    with pytest.raises(ModelError, match='is not a readable ONNX file'):
        FaceDetector(str(PICTURES / 'scene.jpg'), device='cuda')


def test_every_device_either_computes_the_same_or_says_why_not(backend, inputs):
    from blazeface_ros.backends.onnx_runtime import ACCELERATORS

    for device in ('cpu', *ACCELERATORS):
        try:
            other = open_backend('onnxruntime', *find_model('back'), device=device, threads=1)
        except BackendError as error:
            assert f"device '{device}'" in str(error)
            assert device != 'cpu'
            continue
        for found, wanted in zip(other.infer(inputs), backend.infer(inputs)):
            np.testing.assert_allclose(found, wanted, atol=2e-2 * abs(wanted).max(), rtol=0)


def test_an_input_of_another_size_is_a_backend_error(backend):
    with pytest.raises(BackendError, match='ONNX Runtime could not run the network'):
        backend.infer(np.zeros((1, 3, 64, 64), np.float32))


def test_the_core_imports_no_heavy_library():
    import subprocess

    code = (
        'import sys, blazeface_ros, blazeface_ros.cli.main; heavy = '
        '{"torch", "onnxruntime", "onnx", "rclpy", "acl", "tflite"}; '
        'print(sorted(heavy & set(sys.modules)))'
    )
    printed = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert printed.stdout == '[]\n'
