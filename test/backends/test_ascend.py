"""The Ascend backend on a double of pyACL: a simulated contract, not hardware."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from acl_double import FUNCTIONS, Simulation, write_om
from conftest import PICTURES, ROOT
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from ros_fixtures import NodeProcess, Robot, image_message
from std_srvs.srv import SetBool
from test_detector import (  # noqa: F401  the same tests, with this module's `detector`
    test_a_batch_of_different_sizes_equals_single_pictures,
    test_a_picture_that_is_none_costs_only_itself,
    test_all_faces_of_a_scene_are_found_best_first,
    test_every_layout_of_the_same_picture_has_the_same_faces,
    test_faces_at_the_border_are_not_clipped,
    test_keypoints_stand_where_their_names_say,
    test_no_pictures_and_no_windows_give_no_results,
    test_odd_shapes_have_no_faces_and_do_no_harm,
    test_results_do_not_change_when_the_next_picture_comes,
    test_the_astronaut_is_found_where_mediapipe_finds_her,
    test_the_picture_is_not_altered,
)

from blazeface_ros import FaceDetector
from blazeface_ros.backends import ascend, open_backend
from blazeface_ros.backends.acl_runtime import CODES, AclError, runtime
from blazeface_ros.cli.main import main
from blazeface_ros.core.tiles import Frame, crop, whole_frame
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError

BACK = ROOT / 'weights' / 'blazeface_back.onnx'
FRONT = ROOT / 'weights' / 'blazeface_front.onnx'

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


@pytest.fixture
def boot(monkeypatch):
    """Start a new machine, as in a new process; at the end, all of them must be clean."""
    simulations = []

    def start(**machine):
        runtime.close()
        simulations.append(Simulation(**machine))
        monkeypatch.setitem(sys.modules, 'acl', simulations[-1].module)
        return simulations[-1]

    yield start
    runtime.close()
    for simulation in simulations:
        assert simulation.violations == []
        assert simulation.ledger == {}


@pytest.fixture
def acl(boot):
    return boot()


@pytest.fixture
def om(tmp_path):
    """Write an .om file. Returns its path."""
    return lambda onnx=BACK, name='model.om', **variant: write_om(tmp_path / name, onnx, **variant)


@pytest.fixture(params=VARIANTS)
def detector(request, boot, om):
    machine, conversion = VARIANTS[request.param]
    boot(**machine)
    detector = FaceDetector(str(om(**conversion)), 'ascend')
    yield detector
    detector.close()


@pytest.fixture(scope='module')
def reference():
    """The same network in ONNX Runtime."""
    return FaceDetector(threads=1)


@pytest.fixture(scope='module')
def windows(astronaut, scene):
    """float32 [5, 3, 256, 256]: the network's input, as cameras give it."""
    pictures = [astronaut, scene, scene[:, ::-1], astronaut[::-1], scene[100:, 200:]]
    batch = np.empty((len(pictures), 3, 256, 256), np.float32)
    for picture, out in zip(pictures, batch):
        frame = Frame(np.ascontiguousarray(picture))
        crop(frame, whole_frame(0, frame), out)
    return batch


@pytest.fixture(scope='module')
def expected(reference, windows):
    return reference.backend.infer(windows)


def open_om(file, device='auto'):
    return open_backend('ascend', None, Path(file), device=device, threads=0)


def assert_close(found, expected, share=1e-5):
    """Equal to a share of the largest value, as float32 and float16 round by that."""
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, atol=share * abs(other).max(), rtol=0)


# What it finds


def test_faces_equal_those_of_onnx_runtime(detector, reference, astronaut, scene):
    half = '16' in str(detector.backend._outputs[0].host.dtype)
    for picture in (astronaut, scene):
        found, wanted = detector.detect(picture), reference.detect(picture)
        np.testing.assert_allclose(found.scores, wanted.scores, atol=2e-2 if half else 1e-3)
        limit = (0.0005 if half else 1e-5) * max(picture.shape)
        np.testing.assert_allclose(found.boxes, wanted.boxes, atol=limit)
        np.testing.assert_allclose(found.keypoints, wanted.keypoints, atol=limit)


@pytest.mark.parametrize('count', [0, 1, 3, 4, 5])
def test_a_batch_of_any_size_is_fed_in_pieces_of_the_models_own(acl, om, windows, expected, count):
    backend = open_om(om(batch=2))
    found = backend.infer(windows[:count])
    assert [output.shape for output in found] == [(count, 896, 16), (count, 896, 1)]
    if count:
        assert_close(found, [output[:count] for output in expected])
    assert acl.calls.count('mdl.execute_async') == -(-count // 2)
    backend.close()


def test_results_stay_when_the_next_batch_comes(acl, om, windows):
    backend = open_om(om())
    found = backend.infer(windows[:1])
    kept = [output.copy() for output in found]
    backend.infer(windows[1:2])
    for output, copy in zip(found, kept):
        np.testing.assert_array_equal(output, copy)
    backend.close()


@pytest.mark.parametrize('order', ['rgb', 'bgr'])
def test_with_aipp_the_device_gets_the_cameras_own_bytes(acl, om, order):
    """Every value a pixel can have, in each colour by itself."""
    values = np.arange(256, dtype=np.uint8)
    bgr = np.empty((256, 256, 3), np.uint8)
    bgr[..., 0], bgr[..., 1], bgr[..., 2] = values, values[:, None], values[::-1]
    backend = open_om(om(aipp=order))
    batch = np.empty((1, 3, 256, 256), np.float32)
    crop(Frame(bgr), whole_frame(0, Frame(bgr)), batch[0])
    backend.infer(batch)
    sent = np.frombuffer(acl.last_input, np.uint8).reshape(256, 256, 3)
    np.testing.assert_array_equal(sent, bgr if order == 'bgr' else bgr[..., ::-1])
    assert f'uint8 {order} (AIPP)' in backend.description
    backend.close()


def test_the_order_that_an_aipp_model_tells_can_be_overruled(acl, om, monkeypatch, windows):
    monkeypatch.setenv(ascend.AIPP_ORDER, 'rgb')
    backend = open_om(om(aipp='bgr'))
    backend.infer(windows[:1])
    assert 'mdl.get_first_aipp_info' not in acl.calls
    assert 'uint8 rgb' in backend.description
    backend.close()
    monkeypatch.setenv(ascend.AIPP_ORDER, 'yuv')
    with pytest.raises(ConfigurationError, match=r"\$BLAZEFACE_AIPP_ORDER is 'yuv'; it must be"):
        open_om(om(aipp='bgr'))


def test_a_frame_takes_nothing_new_from_the_device(acl, om, windows):
    backend = open_om(om(aipp='bgr'))
    held, calls = acl.ledger, len(acl.calls)
    for _ in range(20):
        backend.infer(windows[:1])
    assert acl.ledger == held
    assert not {'malloc', 'create', 'load'} & {re.split('[._]', c)[1] for c in acl.calls[calls:]}
    backend.close()


# What it refuses


def test_without_pyacl_one_sentence_says_what_to_source(monkeypatch):
    monkeypatch.setitem(sys.modules, 'acl', None)
    with pytest.raises(BackendError, match=r'needs the Python module acl .*source its set_env\.sh'):
        FaceDetector('back', 'ascend')


def test_the_node_without_pyacl_ends_with_that_sentence():
    code, printed = NodeProcess('detector_node', '-p', 'backend:=ascend').wait()
    assert code == 1
    assert 'set_env.sh' in printed
    assert len(printed.strip().splitlines()) == 1


@pytest.mark.parametrize('device', ['cpu', 'npu', 'npu:x', 'npu:-1', 'npu:0 '])
def test_an_unknown_device_name_is_refused_with_those_there_are(acl, om, device):
    with pytest.raises(ConfigurationError, match="unknown to backend 'ascend'; there are: auto"):
        open_om(om(), device)


def test_the_device_number_is_used_and_a_missing_device_is_told(acl, om):
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
        ({'batch': -1}, 'takes -1 windows'),
    ],
)
def test_a_model_whose_bytes_are_not_the_networks_is_refused(acl, om, conversion, sentence):
    with pytest.raises(ModelError, match=sentence):
        open_om(om(**conversion))


def test_another_network_is_told_apart_by_its_shapes(acl, om):
    backend = open_om(om(FRONT))
    assert backend.model.name == 'front'
    backend.close()
    from blazeface_ros.models.catalogue import MODELS

    with pytest.raises(ModelError, match='is not the network wanted'):
        open_backend('ascend', MODELS['back'], om(FRONT), device='auto', threads=0)


def test_an_input_of_another_shape_never_reaches_the_device(acl, om, windows):
    backend = open_om(om())
    calls = len(acl.calls)
    for batch in (windows[:, :, 1:], windows[:1].astype(np.float64), windows[0]):
        with pytest.raises(BackendError, match=r'takes float32 \[N, 3, 256, 256\], got float'):
            backend.infer(batch)
    assert len(acl.calls) == calls
    backend.close()


def test_files_that_are_no_model_of_this_chip_are_told_with_what_to_do(acl, om, tmp_path):
    (tmp_path / 'damaged.om').write_bytes(b'\0\1\2')
    with pytest.raises(AclError, match=r'load_from_file failed with 145000 .*copy the file again'):
        open_om(tmp_path / 'damaged.om')
    with pytest.raises(AclError, match=r'failed with 500002 .*soc_version .*\(Ascend310B4\)'):
        open_om(om(chip='Ascend310P3'))
    with pytest.raises(AclError, match=r'failed with 145002 .*linux_aarch64'):
        open_om(tmp_path / 'missing.om')


# When a call fails


@pytest.mark.parametrize('code', [107001, 107002, 145000, 145002, 207001, 500002, 507011, 545001])
def test_errors_that_users_meet_say_function_code_meaning_and_remedy(acl, om, code):
    acl.fail('rt.create_stream', code)
    with pytest.raises(AclError) as caught:
        open_om(om())
    name, meaning, remedy = CODES[code]
    text = str(caught.value)
    assert text.startswith(f'acl.rt.create_stream failed with {code} ({name}: {meaning}): ')
    assert remedy.format(chip='Ascend310B4') in text
    assert text.endswith(f'[E19999: rt.create_stream returned {code}]')


def test_an_unknown_code_is_told_all_the_same(acl, om):
    acl.fail('rt.malloc', 999999)
    with pytest.raises(AclError, match=r'acl\.rt\.malloc failed with 999999 \(unknown code'):
        open_om(om())


def assert_names(error, function, code):
    """The error says which function failed, and how."""
    assert error.function == f'acl.{function}'
    returns_code = FUNCTIONS[function][1] == 'code' or isinstance(FUNCTIONS[function][1], tuple)
    assert error.code == (code if returns_code else None)
    assert error.function in str(error)
    assert str(code) in str(error) or not returns_code


@pytest.mark.parametrize('machine', [{}, {'timeout_call': False}], ids=['', 'no timeout call'])
def test_a_failure_of_any_call_while_loading_is_told_and_leaves_nothing(
    boot, om, machine, windows, expected
):
    file = om(aipp='rgb')
    acl = boot(**machine)
    backend = open_om(file)
    loading = [*acl.calls]
    backend.close()
    failing = [i for i, name in enumerate(loading) if FUNCTIONS[name][1] is not None]
    assert len(failing) > 25
    for number in failing:
        acl = boot(**machine)
        acl.fail(number, 507899)
        with pytest.raises(AclError) as caught:
            open_om(file)
        assert_names(caught.value, loading[number], 507899)
        assert acl.ledger == {}
        backend = open_om(file)
        assert_close(backend.infer(windows[:1]), [output[:1] for output in expected])
        backend.close()


@pytest.mark.parametrize('machine', [{}, {'timeout_call': False}], ids=['', 'no timeout call'])
def test_a_failure_of_any_call_on_a_frame_costs_that_frame(boot, om, machine, windows, expected):
    acl = boot(**machine)
    backend = open_om(om(batch=2))
    begin = len(acl.calls)
    backend.infer(windows)
    calls = acl.calls[begin:]
    assert len(calls) > 15
    for number, name in enumerate(calls):
        acl.fail(len(acl.calls) + number, 507011)
        with pytest.raises(AclError) as caught:
            backend.infer(windows)
        assert_names(caught.value, name, 507011)
        assert_close(backend.infer(windows), expected)
    acl.fail('execution', 507011)
    with pytest.raises(AclError, match=r'synchronize_stream.* failed with 507011'):
        backend.infer(windows)
    assert_close(backend.infer(windows), expected)
    backend.close()


def test_a_failure_of_any_call_while_closing_is_told_and_the_rest_goes_on(boot, om):
    acl = boot()
    backend = open_om(om())
    begin = len(acl.calls)
    backend.close()
    closing = acl.calls[begin:]
    assert len(closing) > 10
    for number, name in enumerate(closing):
        backend = open_om(om())
        acl.fail(len(acl.calls) + number, 507899)
        with pytest.raises(AclError) as caught:
            backend.close()
        assert_names(caught.value, name, 507899)
        assert acl.ledger == {}
        backend.close()


def test_of_several_failures_the_first_is_told(acl, om):
    acl.fail('mdl.load_from_file', 145002)
    for name in ('rt.destroy_stream', 'rt.destroy_context', 'rt.reset_device'):
        acl.fail(name, 507899)
    with pytest.raises(AclError, match='load_from_file failed with 145002'):
        open_om(om())
    backend = open_om(om())
    acl.fail('rt.free', 507899)
    acl.fail('rt.reset_device', 507011)
    with pytest.raises(AclError, match='free failed with 507899'):
        backend.close()


def test_a_network_that_hangs_is_given_up_and_waited_for_before_its_memory_goes(
    acl, om, windows, monkeypatch
):
    monkeypatch.setattr(ascend, 'TIMEOUT', 50)
    backend = open_om(om(seconds=0.3))
    for _ in range(2):  # the second time nothing is written over what the device reads
        with pytest.raises(AclError, match='synchronize_stream_with_timeout failed with 545601'):
            backend.infer(windows[:1])
    assert acl.calls.count('mdl.execute_async') == 1
    time.sleep(0.3)
    backend.close()


def test_after_an_interrupt_in_the_middle_the_next_frame_is_right(acl, om, windows, expected):
    backend = open_om(om())
    synchronise = acl.module.rt.synchronize_stream_with_timeout

    def interrupted(*arguments):
        acl.module.rt.synchronize_stream_with_timeout = synchronise
        raise KeyboardInterrupt

    acl.module.rt.synchronize_stream_with_timeout = interrupted
    with pytest.raises(KeyboardInterrupt):
        backend.infer(windows[1:2])
    assert_close(backend.infer(windows[:1]), [output[:1] for output in expected])
    backend.close()


# Threads and processes


def in_threads(*functions):
    """Run each in a thread of its own; errors come out here."""
    errors = []

    def guarded(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(f,)) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_it_is_opened_used_and_closed_in_different_threads(acl, om, windows, expected):
    backends = []
    in_threads(lambda: backends.append(open_om(om())))
    for i in range(3):
        in_threads(
            lambda i=i: assert_close(
                backends[0].infer(windows[i : i + 1]), [output[i : i + 1] for output in expected]
            )
        )
    in_threads(backends[0].close)


def test_threads_with_one_network_do_not_mix_their_frames(acl, om, windows, expected):
    backend = open_om(om())

    def work(i):
        for _ in range(5):
            found = backend.infer(windows[i : i + 1])
            assert_close(found, [output[i : i + 1] for output in expected])

    in_threads(*(lambda i=i: work(i) for i in range(4)))
    backend.close()


def test_two_networks_on_one_device_work_side_by_side(acl, om, windows, expected, astronaut):
    back, front = open_om(om()), FaceDetector(str(om(FRONT, 'front.om', aipp='rgb')), 'ascend')

    def back_work():
        for _ in range(5):
            assert_close(back.infer(windows), expected)

    def front_work():
        for _ in range(20):
            assert len(front.detect(astronaut)) == 1

    in_threads(back_work, front_work)
    front_work()  # and in turn, in one thread
    back_work()
    back.close()
    front_work()
    front.close()


def test_a_thread_left_with_a_closed_context_can_use_another_network(acl, om, windows, expected):
    first, second = open_om(om()), open_om(om(name='second.om'))
    closed, used = threading.Event(), threading.Event()

    def work():
        first.infer(windows[:1])
        used.set()
        assert closed.wait(10)
        assert_close(second.infer(windows), expected)
        with pytest.raises(BackendError, match='the detector is closed'):
            first.infer(windows[:1])

    def close():
        assert used.wait(10)
        first.close()
        closed.set()

    in_threads(work, close)
    second.close()


def test_closing_while_another_thread_works_waits_for_its_frame(acl, om, windows):
    backend = open_om(om(seconds=0.1))
    thread = threading.Thread(target=lambda: backend.infer(windows[:1]))
    thread.start()
    while 'mdl.execute_async' not in acl.calls:
        time.sleep(0.001)
    backend.close()
    thread.join()
    assert acl.calls.index('mdl.unload') > acl.calls.index('rt.synchronize_stream_with_timeout')


def test_a_fork_is_told_to_open_its_own(acl, om, windows):
    backend = open_om(om())
    calls = len(acl.calls)
    child = os.fork()
    if not child:
        refused = 0
        for use in (lambda: backend.infer(windows), lambda: open_om('x.om'), backend.close):
            try:
                use()
            except BackendError as error:
                refused += 'is a fork of' in str(error)
        runtime.close()
        os._exit(refused if len(acl.calls) == calls else 99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    backend.close()


# The beginning and the end of a process


def test_closing_twice_is_harmless(acl, om):
    backend = open_om(om())
    backend.close()
    calls = len(acl.calls)
    backend.close()
    assert len(acl.calls) == calls


def test_pyacl_is_initialised_and_finalised_once_however_often_networks_open(acl, om):
    for _ in range(3):
        open_om(om()).close()
    runtime.close()
    runtime.close()
    assert acl.calls.count('init') == acl.calls.count('finalize') == 1


def test_at_exit_a_thread_still_at_work_ends_its_frame_and_gets_no_other(acl, om, windows):
    backend = open_om(om(seconds=0.02))

    def work():
        with pytest.raises(BackendError, match='the detector is closed'):
            while True:
                backend.infer(windows[:1])

    def end():
        while acl.calls.count('mdl.execute_async') < 3:
            time.sleep(0.001)
        runtime.close()

    in_threads(work, end)
    assert acl.calls[-1] == 'finalize'


def test_what_another_library_initialised_is_left_to_it(boot, om):
    acl = boot(initialised=True)
    open_om(om()).close()
    runtime.close()
    assert acl.calls.count('init') == 1
    assert 'finalize' not in acl.calls


def on_double(report, faults=(), **machine):
    """The environment for a process of its own with the double as its acl.

    `faults` are arguments of `Simulation.fail`.
    """
    path = os.pathsep.join([str(ROOT / 'test' / 'support' / 'acl_on_path'), str(ROOT)])
    return {
        **os.environ,
        'PYTHONPATH': path + os.pathsep + os.environ.get('PYTHONPATH', ''),
        'ACL_DOUBLE_REPORT': str(report),
        'ACL_DOUBLE_MACHINE': json.dumps(machine),
        'ACL_DOUBLE_FAULTS': json.dumps(faults),
    }


def assert_clean(report):
    said = json.loads(report.read_text())
    assert said['violations'] == []
    assert said['ledger'] == {}
    assert said['calls']['init'] == said['calls']['finalize'] == 1
    return said['calls']


OPEN = 'from blazeface_ros import FaceDetector; d = FaceDetector("{om}", "ascend"); '


@pytest.mark.parametrize(
    ('program', 'code'),
    [
        (OPEN, 0),
        (OPEN + '1 / 0', 1),
        (OPEN + 'raise KeyboardInterrupt', -2),
        (OPEN + 'd.detect(b"")', 1),
        ('import sys; ' + OPEN + 'sys.exit(3)', 3),
    ],
    ids=['end', 'exception', 'interrupt', 'bad call', 'exit'],
)
def test_a_program_that_does_not_close_it_leaves_nothing_behind(om, tmp_path, program, code):
    report = tmp_path / 'report.json'
    ended = subprocess.run(
        [sys.executable, '-c', program.format(om=om())],
        env=on_double(report), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == code, ended.stderr
    assert_clean(report)


def test_the_command_line_runs_om_files(om, tmp_path):
    report = tmp_path / 'report.json'
    command = ['detect', '--backend', 'ascend', '--model', str(om(aipp='bgr', half=True)), '--json']
    ended = subprocess.run(
        [sys.executable, '-m', 'blazeface_ros.cli.main', *command, str(PICTURES / 'scene.jpg')],
        env=on_double(report, run_mode=0), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(json.loads(ended.stdout)['faces']) == 5
    assert_clean(report)


def run_on_double(report, *arguments, **machine):
    """`blazeface …` in a process of its own."""
    ended = subprocess.run(
        [sys.executable, '-m', 'blazeface_ros.cli.main', *map(str, arguments)],
        env=on_double(report, **machine), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 'Traceback' not in ended.stderr
    return ended


@pytest.mark.parametrize(
    'variant', [{}, {'half': True, 'swapped': True, 'aipp': 'bgr'}], ids=['float32', 'float16 AIPP']
)
@pytest.mark.parametrize('network', ['back', 'front'])
def test_parity_compares_an_om_file_with_the_shipped_network(om, tmp_path, network, variant):
    file = om(ROOT / 'weights' / f'blazeface_{network}.onnx', **variant)
    report = tmp_path / 'report.json'
    command = ['parity', '--om', file, '--model', network, PICTURES / 'astronaut.png']
    ended = run_on_double(report, *command, run_mode=0)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert 'none above the tolerance of 2e-02' in ended.stdout
    assert 'ascend - onnxruntime: 1 and 1 faces; up to ' in ended.stdout
    assert re.search(r'ascend - onnxruntime: [\d.]+ and [\d.]+ ms', ended.stdout)
    assert_clean(report)


def test_parity_notices_one_layer_with_weights_2_percent_off(om, tmp_path):
    network = onnx.load(BACK)
    weights = next(w for w in network.graph.initializer if len(w.dims) == 4)
    values = onnx.numpy_helper.to_array(weights) * np.float32(1.02)
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(network, tmp_path / 'damaged.onnx')
    ended = run_on_double(
        tmp_path / 'report.json', 'parity', '--om', om(tmp_path / 'damaged.onnx')
    )
    assert ended.returncode == 1
    assert re.search('pictures +logits .* above', ended.stdout)
    assert re.search('of score apart, above the tolerance', ended.stdout)
    assert_clean(tmp_path / 'report.json')


def test_parity_refuses_another_network_and_a_tolerance_can_be_given(om, tmp_path):
    report = tmp_path / 'report.json'
    ended = run_on_double(report, 'parity', '--om', om(FRONT))
    assert ended.returncode == 2
    assert 'is not the network wanted (back:' in ended.stderr
    assert_clean(report)
    ended = run_on_double(report, 'parity', '--om', om(half=True), '--tolerance', '1e-4')
    assert ended.returncode == 1
    assert 'above the tolerance of 1e-04' in ended.stdout


def test_parity_without_pyacl_ends_with_the_one_sentence(om, capsys):
    assert main(['parity', '--om', str(om())]) == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert 'source its set_env.sh' in captured.err


def test_the_doctor_tells_pyacl_cann_and_atc_and_initialises_nothing(tmp_path, monkeypatch):
    (tmp_path / 'aarch64-linux').mkdir()
    (tmp_path / 'aarch64-linux' / 'ascend_toolkit_install.info').write_text(
        'package_name=Ascend-cann-toolkit\nversion=8.0.RC1\ninnerversion=V100R001\n'
    )
    atc = tmp_path / 'atc'
    atc.touch(0o755)
    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(tmp_path))
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    report = tmp_path / 'report.json'
    ended = run_on_double(report, 'doctor', '--json')
    assert ended.returncode == 0
    told = json.loads(ended.stdout)
    assert told['ascend'] == {
        'acl': True,
        'soc': None,  # the double tells it only after acl.init
        'toolkit': str(tmp_path),
        'cann': '8.0.RC1',
        'atc': str(atc),
    }
    assert 'convert the network with `blazeface convert' in told['backends']['ascend']['says']
    assert set(json.loads(report.read_text())['calls']) <= {'get_soc_name'}


# The node on the double


class AscendNode:
    """The detector on the double, in a process of its own, and the robot around it."""

    def __init__(self, om_file, report, faults=()):
        self.report = report
        self.process = NodeProcess(
            *('detector_node', '-p', 'backend:=ascend', '-p', f'model:={om_file}'),
            environment=on_double(report, faults),
        )
        self.robot = Robot(self.process.namespace)

    def run(self, image, frames):
        """Publish frames, one after the answer to the one before; returns how many had a face."""
        return sum(len(self.robot.ask(image()).detections) == 1 for _ in range(frames))

    def end(self):
        """Interrupt it. Returns what it printed and the calls of acl, with nothing held."""
        code, seconds, printed = self.process.interrupt()
        assert code == 0, printed
        assert seconds < 2
        assert 'Traceback' not in printed
        return printed, assert_clean(self.report)

    def close(self):
        self.robot.close()
        self.process.kill()


@pytest.fixture
def ascend_node(om, tmp_path):
    """Starts an `AscendNode` with a variant of the model and faults."""
    started = []

    def start(faults=(), **variant):
        started.append(AscendNode(om(**variant), tmp_path / 'report.json', faults))
        return started[-1]

    yield start
    for node in started:
        node.close()


@pytest.fixture(scope='module')
def portrait(astronaut):
    """Makes an image with one face, small and with a header of its own each time."""
    small = cv2.resize(astronaut, (256, 256))
    return lambda: image_message(small)


def test_the_node_runs_500_frames_and_holds_nothing_at_its_end(ascend_node, portrait):
    node = ascend_node(aipp='bgr')
    assert node.run(portrait, 500) == 500
    _, calls = node.end()
    assert calls['mdl.execute_async'] >= 500
    assert calls['mdl.load_from_file'] == calls['mdl.unload'] == 1


def test_the_node_is_disabled_and_walked_through_its_lifecycle_with_nothing_lost(
    ascend_node, portrait
):
    node = ascend_node()
    robot = node.robot
    for on in (False, True):
        request = SetBool.Request(data=on)
        assert robot.call(SetBool, 'detector/enable', request)[0].success
    assert node.run(portrait, 3) == 3
    for _ in range(10):
        assert robot.change_state(Transition.TRANSITION_DEACTIVATE)
        assert robot.change_state(Transition.TRANSITION_ACTIVATE)
        assert node.run(portrait, 1) == 1
    for _ in range(3):
        assert robot.change_state(Transition.TRANSITION_DEACTIVATE)
        assert robot.change_state(Transition.TRANSITION_CLEANUP)
        assert robot.change_state(Transition.TRANSITION_CONFIGURE)
        assert robot.change_state(Transition.TRANSITION_ACTIVATE)
        assert node.run(portrait, 1) == 1
    _, calls = node.end()
    assert calls['mdl.load_from_file'] == calls['mdl.unload'] == 4


@pytest.mark.parametrize('function', ['rt.memcpy', 'mdl.execute_async', 'execution'])
def test_a_call_that_fails_in_the_middle_costs_one_frame(ascend_node, portrait, function):
    node = ascend_node(faults=[(function, 507011, 20)])
    assert node.run(portrait, 30) == 30  # `ask` publishes an image again until it is answered
    assert node.robot.status('network')[0] != DiagnosticStatus.ERROR
    printed, calls = node.end()
    name = 'rt.synchronize_stream_with_timeout' if function == 'execution' else function
    assert re.search(rf'image\(s\) lost: acl.{name} failed with 507011', printed)
    assert calls['mdl.load_from_file'] == 1


def test_three_failures_in_a_row_load_the_model_anew_once_and_put_diagnostics_on_error(
    ascend_node, portrait
):
    node = ascend_node(faults=[('mdl.execute_async', 507011, nth) for nth in range(2, 9)])
    robot = node.robot
    assert node.run(portrait, 1) == 1
    for _ in range(6):
        robot.camera().publish(portrait())
        robot.spin(0.2)
    robot.until(lambda: robot.status('network')[0] == DiagnosticStatus.ERROR, 'ERROR')
    assert 'failures in a row: acl.mdl.execute_async failed' in robot.status('network')[1]
    assert node.run(portrait, 3) == 3
    robot.until(lambda: robot.status('network')[1] == 'running', 'OK again')
    printed, calls = node.end()
    assert printed.count('it is loaded anew') == 1
    assert calls['mdl.load_from_file'] == calls['mdl.unload'] == 2


def test_an_interrupt_during_an_execute_leaves_nothing_behind(ascend_node, portrait):
    node = ascend_node(seconds=0.7)
    assert node.run(portrait, 1) == 1
    node.robot.camera().publish(portrait())
    node.robot.spin(0.2)
    node.end()


def test_without_pyacl_the_node_ends_with_the_one_sentence():
    code, printed = NodeProcess('detector_node', '-p', 'backend:=ascend').wait()
    assert code == 1
    assert "backend 'ascend' needs the Python module acl of Huawei's CANN toolkit" in printed
    assert 'set_env.sh' in printed
    assert len(printed.strip().splitlines()) == 1
