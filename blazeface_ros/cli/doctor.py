"""`blazeface doctor`: tells what this machine can run, and what is missing for the rest."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import platform
import re
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import blazeface_ros
from blazeface_ros.backends import BACKENDS, acl_runtime
from blazeface_ros.backends.onnx_runtime import import_onnxruntime
from blazeface_ros.cli.tables import bundled_pictures
from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.errors import BackendError, shortened
from blazeface_ros.models.catalogue import MODELS, find_model

DEFAULT_BACKEND = 'onnxruntime'
DDS_SETTINGS = (
    'RMW_IMPLEMENTATION',
    'ROS_DOMAIN_ID',
    'ROS_AUTOMATIC_DISCOVERY_RANGE',
    'FASTRTPS_DEFAULT_PROFILES_FILE',
    'FASTDDS_DEFAULT_PROFILES_FILE',
)
#: Environment variables with the folder of CANN's toolkit, and the files that tell its version.
CANN_FOLDERS = ('ASCEND_TOOLKIT_HOME', 'ASCEND_HOME_PATH')
CANN_FILES = ('*/ascend_toolkit_install.info', 'ascend_toolkit_install.info', '*/version.info')

Section = dict[str, Any]


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        'doctor',
        help='tell what this machine can run, and what is missing',
        description='Tell what this machine can run, and what is missing for the rest. Exit code 1 '
        'means that the default network does not find the faces of the bundled pictures on '
        f'{DEFAULT_BACKEND}.',
    )
    parser.add_argument('--json', action='store_true', help='print one JSON object')
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Examine the machine and print the report.

    Returns:
        The exit code: 1 if the default backend does not work, else 0.
    """
    report = examine()
    print(json.dumps(report) if options.json else as_text(report))
    return int(not report['backends'][DEFAULT_BACKEND]['ok'])


def examine() -> dict[str, Section]:
    """Examine everything.

    Returns:
        The report by section. What was tried has `ok`, whether it works, and `says`, its result or
        the reason why it does not work.
    """
    return {
        'package': {
            'blazeface_ros': blazeface_ros.__version__,
            'folder': str(Path(blazeface_ros.__file__).parent),
            'python': platform.python_version(),
            'machine': f'{platform.system()} {platform.machine()}',
        },
        'libraries': _libraries(),
        'ascend': _ascend(),
        'ros': _ros(),
        'models': {name: _try(_find, name) for name in MODELS},
        'backends': {name: _try(_detect, name) for name in BACKENDS},
    }


def _try(work: Callable[..., str], *arguments: str) -> Section:
    """Try something. Tell whether it works, and what it or its error says."""
    try:
        return {'ok': True, 'says': work(*arguments)}
    except Exception as error:  # a library that is half installed may raise anything
        return {'ok': False, 'says': ' '.join(str(error).split()) or repr(error)}


def _find(model: str) -> str:
    return str(find_model(model)[1])


def _detect(backend: str) -> str:
    """Find the faces in the bundled pictures."""
    detector = FaceDetector(backend=backend)
    try:
        pictures = bundled_pictures()
        if not all(len(detector.detect(picture)) for picture in pictures) or not pictures:
            raise BackendError(
                f'{detector.backend.description} does not find a face in each bundled picture '
                f'({len(pictures)} are installed)'
            )
        return f'ready: {detector.backend.description}'
    finally:
        detector.close()


def _libraries() -> Section:
    found: Section = {'onnxruntime': None, 'providers': [], 'torch': None, 'cuda devices': []}
    # The reason why one is missing is told by its backend, in another section.
    if onnxruntime := _imported(import_onnxruntime):
        found['onnxruntime'] = onnxruntime.__version__
        found['providers'] = onnxruntime.get_available_providers()
    if torch := _imported(importlib.import_module, 'torch'):
        cuda = torch.cuda
        found['torch'] = torch.__version__
        found['cuda devices'] = [cuda.get_device_name(i) for i in range(cuda.device_count())]
    try:
        found['litert'] = version('ai-edge-litert')
    except PackageNotFoundError:
        found['litert'] = None
    return found


def _imported(load: Callable[..., Any], *arguments: str) -> Any:
    try:
        return load(*arguments)
    except Exception:  # for example an OSError from a library that the module links to
        return None


def _ascend() -> Section:
    """Examine CANN without acl.init, which would touch a device."""
    folder = next((os.environ[name] for name in CANN_FOLDERS if os.environ.get(name)), None)
    acl = _imported(importlib.import_module, 'acl') is not None
    return {
        'acl': acl,
        'soc': acl_runtime.query('get_soc_name') or None if acl else None,
        'toolkit': folder,
        'cann': _cann_version(Path(folder)) if folder else None,
        'atc': shutil.which('atc'),
    }


def _cann_version(folder: Path) -> str | None:
    for pattern in CANN_FILES:
        with contextlib.suppress(OSError):  # the folder or a file may belong to another user
            for file in sorted(folder.glob(pattern)):
                text = file.read_text(errors='replace')
                if found := re.search(r'^version\s*=\s*(\S+)', text, re.MULTILINE | re.IGNORECASE):
                    return found[1]
    return None


def _ros() -> Section:
    found: Section = {'ROS_DISTRO': os.environ.get('ROS_DISTRO')}
    for module in ('rclpy', 'vision_msgs'):  # not imported, because this layer must not need ROS
        found[module] = importlib.util.find_spec(module) is not None
    for setting in DDS_SETTINGS:
        found[setting] = os.environ.get(setting)
        if setting.endswith('_FILE') and found[setting]:
            found[f'{setting} exists'] = os.path.isfile(found[setting])
    return found


def as_text(report: dict[str, Section]) -> str:
    """Format a report as sections of aligned lines, for people."""
    width = max(len(name) for section in report.values() for name in section)
    lines: list[str] = []
    for title, section in report.items():
        lines += ['', title] if lines else [title]
        lines += [f'  {name:{width}}  {_cell(value)}' for name, value in section.items()]
    return '\n'.join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return f'{"ok" if value["ok"] else "no"}  {value["says"]}'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    return shortened(str((', '.join(value) if isinstance(value, list) else value) or '-'))
