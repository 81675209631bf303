"""An interrupt ends the command `blazeface` quietly with exit code 130, whenever it comes."""

import os
import signal
import subprocess
import sys

import pytest

#: How the installed program starts, and how Python runs a package.
STARTS = {
    'program': ['-c', 'import sys; from blazeface_ros.__main__ import main; sys.exit(main())'],
    'module': ['-m', 'blazeface_ros'],
}
#: It is imported in place of a library, tells that, and waits until it is interrupted.
LIBRARY = """
import signal
print('importing', flush=True)
while True:
    signal.pause()
"""


@pytest.fixture(params=STARTS.values(), ids=STARTS)
def interrupt(request, tmp_path):
    """Run the command, and interrupt it while it imports a library.

    Returns its exit code, and all that it printed after that.
    """

    def run(library, *words, ignored=False):
        (tmp_path / f'{library}.py').write_text(LIBRARY)
        handler = 'SIG_IGN' if ignored else 'default_int_handler'
        (tmp_path / 'sitecustomize.py').write_text(
            f'import signal; signal.signal(signal.SIGINT, signal.{handler})'
        )
        process = subprocess.Popen(
            [sys.executable, *request.param, *words],
            env={**os.environ, 'PYTHONPATH': str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with process:
            assert process.stdout.readline() == 'importing\n'
            process.send_signal(signal.SIGINT)
            if ignored:
                process.terminate()
            return process.wait(), process.stdout.read()

    return run


@pytest.mark.parametrize('library', ['numpy', 'cv2', 'argparse'])
def test_while_it_is_imported(interrupt, library):
    assert interrupt(library, '--version') == (130, '')


@pytest.mark.network
def test_while_it_runs(interrupt):
    assert interrupt('onnxruntime', 'detect', 'picture.png') == (130, '')


def test_in_the_background_of_a_shell_it_is_not_interrupted(interrupt):
    assert interrupt('cv2', '--version', ignored=True) == (-signal.SIGTERM, '')
