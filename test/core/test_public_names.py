"""What `import blazeface_ros` gives, and what it leaves alone."""

import subprocess
import sys

import pytest

import blazeface_ros

#: Libraries that are large, or need not be installed.
OTHERS = ('ai_edge_litert', 'matplotlib', 'onnx', 'onnxruntime', 'rclpy', 'supervision', 'torch')


def test_every_public_name_is_there_and_documented():
    assert sorted(set(blazeface_ros.__all__)) == sorted(blazeface_ros.__all__)
    for name in blazeface_ros.__all__:
        value = getattr(blazeface_ros, name)
        if callable(value):
            assert value.__doc__
            assert value.__module__.startswith('blazeface_ros.')


def test_all_public_names_are_listed():
    public = {name for name in dir(blazeface_ros) if not name.startswith('_')}
    modules = {name for name in public if isinstance(getattr(blazeface_ros, name), type(sys))}
    assert public - modules == set(blazeface_ros.__all__) - {'__version__'}


def test_any_other_name_is_an_error():
    with pytest.raises(AttributeError, match="'blazeface_ros' has no attribute 'banana'"):
        blazeface_ros.banana  # noqa: B018 - the attribute is what is tested


def modules_after(statement):
    """The names of the top-level modules that a fresh Python has after a statement."""
    # A module that is None was hidden from Python, and nobody has imported it.
    code = (
        f'{statement}\nimport sys\n'
        'print(*{name.split(".")[0] for name, module in sys.modules.items() if module})'
    )
    python = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    return set(python.stdout.split())


@pytest.mark.parametrize(
    'statement',
    [
        'from blazeface_ros import *',
        'from blazeface_ros import Faces; Faces.empty().to_dict()',
    ],
)
def test_importing_the_package_imports_no_library_that_it_may_not_need(statement):
    modules = modules_after(statement)
    assert {'blazeface_ros', 'numpy'} <= modules
    assert not modules & set(OTHERS)


def test_the_package_itself_imports_nothing_large():
    modules = modules_after('import blazeface_ros, blazeface_ros.__main__')
    assert not modules & {'numpy', 'cv2', *OTHERS}


@pytest.mark.onnxruntime
def test_a_detector_imports_only_the_library_of_its_backend():
    modules = modules_after('from blazeface_ros import FaceDetector; FaceDetector(threads=1)')
    assert modules & set(OTHERS) == {'onnxruntime'}
