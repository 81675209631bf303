"""The folders of the package are layers, and each knows only those below it."""

import ast
import re

import pytest
from shared import ROOT

PACKAGE = ROOT / 'blazeface_ros'
#: From top to bottom. Layers in one row do not know each other. `blazeface_ros` is the package's
#: own `__init__.py`, which gathers the public names.
LAYERS = (
    ('__main__',),
    ('cli', 'ros'),
    ('lab',),
    ('recordings',),
    ('blazeface_ros',),
    ('core',),
    ('backends',),
    ('models',),
    ('errors',),
)
HEIGHTS = {layer: -number for number, row in enumerate(LAYERS) for layer in row}
MODULES = sorted(PACKAGE.rglob('*.py'))
FOLDERS = 'blazeface_ros', 'test', 'tools', 'examples', 'launch'
LONGEST_FILE = 400


def layer_of(module):
    """The layer of a module, given by its dotted name."""
    parts = module.split('.')
    return parts[1] if len(parts) > 1 and parts[1] in HEIGHTS else parts[0]


def name_of(file):
    """The dotted name of a module's file."""
    return '.'.join(file.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')


def imports_of(file):
    """The dotted names of all modules of this package that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{file} has a relative import'
            # `from blazeface_ros.core import faces` imports a module.
            names = {f'{node.module}.{alias.name}' for alias in node.names}
            found |= {name if is_module(name) else node.module for name in names}
    return {name for name in found if name.split('.')[0] == 'blazeface_ros'}


def is_module(name):
    """Whether a dotted name is that of a module or package of ours."""
    path = ROOT.joinpath(*name.split('.'))
    return path.is_dir() or path.with_suffix('.py').is_file()


def test_every_module_belongs_to_a_layer():
    assert {layer_of(name_of(file)) for file in MODULES} == set(HEIGHTS)


@pytest.mark.parametrize('file', MODULES, ids=name_of)
def test_a_module_imports_only_from_its_own_layer_and_those_below(file):
    layer = layer_of(name_of(file))
    for name in imports_of(file):
        other = layer_of(name)
        assert other == layer or HEIGHTS[other] < HEIGHTS[layer], f'{layer} imports {name}'


def test_no_file_is_too_long_to_be_read_at_once():
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob('*.py')]
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_the_picture_of_the_folders_names_each_module_and_no_other():
    text = (ROOT / 'docs' / 'architecture.md').read_text()
    named = set(re.findall(r'[\w.]+\.py\b', text))
    modules = {file.name for file in MODULES if file.name != '__init__.py'}
    assert modules - named == set()
    files = {file.name for folder in FOLDERS for file in (ROOT / folder).rglob('*.py')}
    assert named - files - {'setup.py'} == set()
