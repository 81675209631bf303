"""The tables of the parameters and the configuration file follow the declarations."""

import shutil
import subprocess
import sys

import pytest
from shared import ROOT

pytestmark = pytest.mark.ros

FILES = 'README.md', 'docs/parameters.md', 'config/detect.yaml'


def run_tool(*arguments):
    """Run tools/parameter_tables.py as a process of its own."""
    command = [sys.executable, str(ROOT / 'tools' / 'parameter_tables.py'), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path):
    """A folder with copies of the files that the tool writes."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_files_fit_the_declared_parameters():
    done = run_tool('--check')
    assert (done.returncode, done.stderr) == (0, '')


@pytest.mark.parametrize('name', FILES)
def test_a_file_that_does_not_fit_is_named_and_written_anew(copy, name):
    file = copy / name
    text = file.read_text()
    file.write_text(text.replace('Number of CPU threads', 'Some threads'))
    assert file.read_text() != text
    done = run_tool('--check', '--root', str(copy))
    assert done.returncode == 1
    assert done.stderr == f'{name} does not fit the declared parameters: run make parameters\n'
    assert run_tool('--root', str(copy)).stdout == f'written: {name}\n'
    assert file.read_text() == text


def test_text_around_the_tables_stays(copy):
    readme = copy / 'README.md'
    readme.write_text('# Another title\n' + readme.read_text().replace('| `lazy` *', '| `idle` *'))
    run_tool('--root', str(copy))
    assert readme.read_text() == '# Another title\n' + (ROOT / 'README.md').read_text()
