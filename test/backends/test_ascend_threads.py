"""The Ascend backend in threads, in forks, and at the beginning and the end of a process."""

import os
import subprocess
import sys
import threading

import pytest
from ascend_support import (
    FRONT,
    assert_clean,
    assert_close,
    in_threads,
    on_double,
    open_om,
    wait_until,
)

from blazeface_ros import FaceDetector
from blazeface_ros.backends.acl_runtime import runtime
from blazeface_ros.backends.ascend import AscendBackend
from blazeface_ros.errors import BackendError

pytest_plugins = ['ascend_fixtures']
pytestmark = pytest.mark.onnxruntime


def test_it_is_opened_used_and_closed_in_different_threads(acl, om, inputs, expected):
    backends = []
    in_threads(lambda: backends.append(open_om(om())))
    for i in range(3):
        in_threads(
            lambda i=i: assert_close(
                backends[0].infer(inputs[i : i + 1]), [output[i : i + 1] for output in expected]
            )
        )
    in_threads(backends[0].close)


def test_threads_with_one_network_do_not_mix_their_frames(acl, om, inputs, expected):
    backend = open_om(om())

    def work(i):
        for _ in range(5):
            found = backend.infer(inputs[i : i + 1])
            assert_close(found, [output[i : i + 1] for output in expected])

    in_threads(*(lambda i=i: work(i) for i in range(4)))
    backend.close()


def test_two_networks_on_one_device_work_side_by_side(acl, om, inputs, expected, astronaut):
    back, front = open_om(om()), FaceDetector(str(om(FRONT, 'front.om', aipp='rgb')), 'ascend')

    def back_work():
        for _ in range(5):
            assert_close(back.infer(inputs), expected)

    def front_work():
        for _ in range(20):
            assert len(front.detect(astronaut)) == 1

    in_threads(back_work, front_work)
    front_work()  # and in turn, in one thread
    back_work()
    back.close()
    front_work()
    front.close()


def test_a_thread_left_with_a_closed_context_can_use_another_network(acl, om, inputs, expected):
    first, second = open_om(om()), open_om(om(name='second.om'))
    closed, used = threading.Event(), threading.Event()

    def work():
        first.infer(inputs[:1])
        used.set()
        assert closed.wait(10)
        assert_close(second.infer(inputs), expected)
        with pytest.raises(BackendError, match='the detector is closed'):
            first.infer(inputs[:1])

    def close():
        assert used.wait(10)
        first.close()
        closed.set()

    in_threads(work, close)
    second.close()


def is_in(thread, function):
    """Whether a thread is in a function, and not in another that it calls."""
    frame = sys._current_frames().get(thread.ident)
    return frame is not None and frame.f_code is function.__code__


def test_closing_while_another_thread_works_waits_for_its_frame(acl, om, gate, inputs, expected):
    backend = open_om(om(gate=gate.file))
    found = []
    working = threading.Thread(target=lambda: found.append(backend.infer(inputs[:1])))
    closing = threading.Thread(target=backend.close)
    gate.close()
    working.start()
    wait_until(lambda: gate.reached)
    closing.start()
    wait_until(lambda: is_in(closing, AscendBackend.close) or not closing.is_alive())
    assert 'mdl.unload' not in acl.calls
    gate.open()
    working.join()
    closing.join()
    assert 'mdl.unload' in acl.calls
    assert_close(found[0], [output[:1] for output in expected])


def test_a_fork_has_to_open_its_own(acl, om, inputs):
    backend = open_om(om())
    calls = len(acl.calls)
    child = os.fork()
    if not child:
        refused = 0
        for use in (lambda: backend.infer(inputs), lambda: open_om('x.om'), backend.close):
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


def test_at_exit_a_thread_that_works_finishes_its_frame_and_gets_no_other(acl, om, inputs):
    backend = open_om(om())

    def work():
        with pytest.raises(BackendError, match='the detector is closed'):
            while True:
                backend.infer(inputs[:1])

    def end():
        wait_until(lambda: acl.calls.count('mdl.execute_async') >= 3)
        runtime.close()

    in_threads(work, end)
    assert acl.calls[-1] == 'finalize'


def test_what_another_library_initialised_is_not_finalised(boot, om):
    acl = boot(initialised=True)
    open_om(om()).close()
    runtime.close()
    assert acl.calls.count('init') == 1
    assert 'finalize' not in acl.calls


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
