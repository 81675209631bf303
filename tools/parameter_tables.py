"""Write the tables of the nodes' parameters in README.md and docs/, and config/detect.yaml.

All of them come from the declarations in blazeface_ros/ros/parameters.py and
blazeface_ros/core/settings.py. It needs ROS.

Usage: parameter_tables.py [--check]
"""

from __future__ import annotations

import argparse
import html
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from blazeface_ros.core.settings import Declaration, PipelineSettings, declarations
from blazeface_ros.ros.parameters import DetectorParameters, MediaPublisherParameters

ROOT = Path(__file__).resolve().parents[1]
#: Names of the types as `ros2 param describe` prints them.
TYPE_NAMES = {
    bool: 'boolean',
    int: 'integer',
    float: 'double',
    str: 'string',
    tuple: 'string array',
}
#: Width of the lines in the configuration file.
WIDTH = 100
CONFIGURATION_HEADER = """\
# The parameters of the detector with their defaults.
# Use: ros2 launch blazeface_ros detect.launch.py params_file:=MY_COPY.yaml
# This file is written by tools/parameter_tables.py.
/**:
  ros__parameters:
"""


def in_reading_order(kind: type) -> dict[str, Declaration]:
    """The parameters of a node: first its own, then those of the pipeline."""
    pipeline = declarations(PipelineSettings)
    return dict(sorted(declarations(kind).items(), key=lambda item: item[0] in pipeline))


def as_yaml(value: Any) -> str:
    """A value as a configuration file has it."""
    if isinstance(value, tuple):
        return f'[{", ".join(map(as_yaml, value))}]'
    plain = isinstance(value, str) and re.fullmatch(r'[\w.]+', value)
    return value if plain else json.dumps(value)


def allowed_values(declaration: Declaration) -> str:
    """The type of a parameter and the values that it takes."""
    kind = TYPE_NAMES[type(declaration.default)]
    if declaration.choices:
        return f'{kind}: {", ".join(declaration.choices)}'
    if declaration.limits:
        return '{}, {} to {}'.format(kind, *declaration.limits)
    return kind


def table(rows: Iterator[tuple[str, ...]]) -> str:
    """A table in Markdown; the first row has the headings."""
    heading, *others = rows
    lines = [heading, ('---',) * len(heading), *others]
    return ''.join(f'| {" | ".join(cells)} |\n' for cells in lines)


def short_table(kind: type) -> str:
    """A table of names, defaults and descriptions; * marks what can change while a node runs."""

    def rows() -> Iterator[tuple[str, ...]]:
        yield 'name', 'default', 'meaning'
        for name, one in in_reading_order(kind).items():
            mark = ' *' if one.live else ''
            yield f'`{name}`{mark}', as_yaml(one.default), html.escape(one.description, False)

    return table(rows())


def full_table(kind: type) -> str:
    """A table of all that is declared."""

    def rows() -> Iterator[tuple[str, ...]]:
        yield 'name', 'type and values', 'default', 'live', 'meaning'
        for name, one in in_reading_order(kind).items():
            default, live = as_yaml(one.default), 'yes' if one.live else 'no'
            description = html.escape(one.description, False)
            yield f'`{name}`', allowed_values(one), f'`{default}`', live, description

    return table(rows())


def configuration() -> str:
    """The configuration file of the detector."""
    blocks = []
    for name, one in in_reading_order(DetectorParameters).items():
        indent = '    # '
        comment = textwrap.fill(
            one.description, WIDTH, initial_indent=indent, subsequent_indent=indent
        )
        # ROS cannot tell the type of an empty list, and so none is given.
        value = f'# {name}: [...]' if one.default == () else f'{name}: {as_yaml(one.default)}'
        values = f'  # {allowed_values(one)}' if one.choices or one.limits else ''
        blocks.append(f'{comment}\n    {value}{values}\n')
    return CONFIGURATION_HEADER + '\n'.join(blocks)


#: The tables by the names that the marks in the Markdown files give.
TABLES: dict[str, Callable[[], str]] = {
    'detector, short': lambda: short_table(DetectorParameters),
    'detector': lambda: full_table(DetectorParameters),
    'media publisher': lambda: full_table(MediaPublisherParameters),
}
BEGIN, END = '<!-- table of parameters: {} -->\n', '<!-- end of the table -->\n'


def with_tables(text: str) -> str:
    """A Markdown file with the tables between its marks written anew."""
    for name, make_table in TABLES.items():
        begin, middle, rest = text.partition(BEGIN.format(name))
        if middle:
            text = begin + middle + make_table() + END + rest.partition(END)[2]
    return text


def documents(root: Path) -> dict[Path, str]:
    """The files below a folder and what they must contain."""
    pages = [root / 'README.md', root / 'docs' / 'parameters.md']
    texts = {page: with_tables(page.read_text(encoding='utf-8')) for page in pages}
    return {**texts, root / 'config' / 'detect.yaml': configuration()}


def main() -> None:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--check', action='store_true', help='only say which files are out of date')
    parser.add_argument('--root', type=Path, default=ROOT, help='folder of the repository')
    arguments = parser.parse_args()
    outdated = {
        file: text
        for file, text in documents(arguments.root).items()
        if not file.exists() or file.read_text(encoding='utf-8') != text
    }
    names = ', '.join(str(file.relative_to(arguments.root)) for file in outdated)
    if arguments.check and outdated:
        verb = 'does' if len(outdated) == 1 else 'do'
        sys.exit(f'{names} {verb} not fit the declared parameters: run make parameters')
    for file, text in outdated.items():
        file.write_text(text, encoding='utf-8')
    print(f'written: {names}' if outdated else 'All tables of parameters are up to date.')


if __name__ == '__main__':
    main()
