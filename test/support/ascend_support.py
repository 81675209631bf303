"""What the tests of the Ascend backend share: its networks, threads, and programs on the double."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from shared import ROOT

from blazeface_ros.backends import open_backend

BACK = ROOT / 'weights' / 'blazeface_back.onnx'
FRONT = ROOT / 'weights' / 'blazeface_front.onnx'
#: Seconds after which a condition counts as one that never comes true.
TIMEOUT_S = 60


def open_om(file, device='auto'):
    """The backend with an .om file of any network."""
    return open_backend('ascend', None, Path(file), device=device, threads=0)


def assert_close(found, expected, share=1e-5):
    """The outputs are equal but for rounding, which is a share of the largest value."""
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, atol=share * abs(other).max(), rtol=0)


def wait_until(condition):
    """Wait until a condition is true."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, 'the condition never came true'
        time.sleep(0.001)


def in_threads(*functions):
    """Run each function in a thread of its own, and raise the first error here."""
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


def on_double(report, faults=(), **machine):
    """The environment of a process that has the double as its acl.

    Args:
        report: the file for the report of the double.
        faults: arguments of `Simulation.fail`.
        machine: arguments of `Simulation`.
    """
    path = os.pathsep.join([str(ROOT / 'test' / 'support' / 'acl_on_path'), str(ROOT)])
    return {
        **os.environ,
        'PYTHONPATH': path + os.pathsep + os.environ.get('PYTHONPATH', ''),
        'ACL_DOUBLE_REPORT': str(report),
        'ACL_DOUBLE_MACHINE': json.dumps(machine),
        'ACL_DOUBLE_FAULTS': json.dumps(faults),
    }


def run_on_double(report, *arguments, **machine):
    """Run `blazeface` with these arguments in a process of its own on the double."""
    ended = subprocess.run(
        [sys.executable, '-m', 'blazeface_ros.cli.main', *map(str, arguments)],
        env=on_double(report, **machine),
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'Traceback' not in ended.stderr
    return ended


def assert_clean(report):
    """A process on the double released everything and kept the contract. Returns its calls."""
    content = json.loads(report.read_text())
    assert content['violations'] == []
    assert content['ledger'] == {}
    assert content['calls']['init'] == content['calls']['finalize'] == 1
    return content['calls']
