"""Tests that need more than NumPy, OpenCV and pytest are marked, and left out where it is not."""

import ast
import os
import subprocess
import sys
from functools import cache

import pytest
from needs import NEEDS, TEST_FILES, marks_of_file
from shared import ROOT

#: The modules that tests need, and the marks that say so.
MARKS_OF_MODULES = {
    module: {mark for mark in NEEDS if module in NEEDS[mark].modules}
    for need in NEEDS.values()
    for module in need.modules
}
EVERYWHERE = {'numpy', 'cv2', 'pytest', '_pytest', *sys.stdlib_module_names}


@cache
def imported_by(file):
    """The dotted names of all that a file imports when it is imported itself."""
    names, nodes = set(), [ast.parse(file.read_text(encoding='utf-8'))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f'{node.module}.{alias.name}' for alias in node.names}
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets) == 'pytest_plugins':
            names |= set(ast.literal_eval(node.value))
        elif isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING':
            continue
        if not isinstance(node, (ast.FunctionDef, ast.Lambda)):
            nodes += ast.iter_child_nodes(node)
    return names


def files_of(name, folder):
    """The files of this project that are imported under a dotted name by a file in a folder."""
    parts = name.split('.')
    stems = ['/'.join(parts[:count]) for count in range(1, len(parts) + 1)]
    return [
        file
        for base in (folder, ROOT / 'test' / 'support', ROOT)
        for stem in stems
        for file in (base / f'{stem}.py', base / stem / '__init__.py')
        if file.is_file()
    ]


def modules_behind(file):
    """The modules from elsewhere that a file imports, also through files of this project."""
    found, seen, waiting = set(), set(), [file]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            for name in imported_by(file):
                files = files_of(name, file.parent)
                waiting += files
                found |= set() if files else {name.split('.')[0]}
    return found


@pytest.mark.parametrize('file', TEST_FILES, ids=lambda file: file.stem)
def test_a_file_has_the_marks_for_all_that_it_imports(file):
    marks = marks_of_file(file)
    for module in modules_behind(file) - EVERYWHERE:
        assert module in MARKS_OF_MODULES, f'no mark in test/support/needs.py has {module}'
        assert marks & MARKS_OF_MODULES[module], f'{module} is imported: mark the whole file'


def run_pytest_without(marks, folder, *arguments):
    """Run pytest without plugins, and as if nothing that these marks need was installed.

    The same holds for the processes that the tests start.
    """
    modules = [module for mark in marks for module in NEEDS[mark].modules]
    # Every Python process runs this file first. A module that is None cannot be imported.
    (folder / 'sitecustomize.py').write_text(
        f'import sys\nsys.modules.update(dict.fromkeys({modules}))\n'
    )
    path = os.pathsep.join([str(folder), os.environ.get('PYTHONPATH', '')])
    environment = {
        **os.environ,
        'PYTHONPATH': path,
        'PYTEST_ADDOPTS': '',  # colcon names the file for the results there
        'PYTEST_DISABLE_PLUGIN_AUTOLOAD': '1',
    }
    return subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def assert_left_out(done, marks):
    """It says of each mark that its tests are left out."""
    _, _, reasons = done.stdout.rpartition('left out, by mark')
    for mark in marks:
        assert f'\n{mark}: needs {NEEDS[mark].description}; not installed: ' in reasons


def test_without_anything_all_files_can_be_collected_and_the_reasons_are_told(tmp_path):
    done = run_pytest_without(NEEDS, tmp_path, '--collect-only')
    assert done.returncode == 0, done.stdout[-2000:]
    assert_left_out(done, NEEDS)
    assert 'test/core/test_tracking.py' in done.stdout
    assert 'test/ros/' not in done.stdout


def test_the_quick_tests_can_be_collected_without_ros_and_pytorch(tmp_path):
    missing = 'ros', 'launch', 'torch', 'notebook'
    selection = 'not ros and not torch and not long'
    done = run_pytest_without(missing, tmp_path, '--collect-only', '-m', selection)
    assert done.returncode == 0, done.stdout[-2000:]
    for file in ('core/test_tracking.py', 'cli/test_detect.py'):
        assert file in done.stdout


@pytest.mark.long
def test_with_ros_alone_all_tests_pass_that_are_not_left_out(tmp_path):
    missing = NEEDS.keys() - {'ros', 'colcon', 'yaml'}  # rclpy needs yaml
    done = run_pytest_without(missing, tmp_path, '-m', 'not long')
    assert done.returncode == 0, done.stdout[-4000:]
    assert_left_out(done, missing)
