"""`blazeface parity`: whether a backend computes what another does."""

from __future__ import annotations

import argparse
from pathlib import Path

from blazeface_ros.backends import BACKENDS, open_backend
from blazeface_ros.cli.tables import bundled_pictures, print_differences
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError
from blazeface_ros.media import read_picture
from blazeface_ros.models import parity
from blazeface_ros.models.catalogue import MODELS, find_model

LITERT = 'litert'


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        'parity',
        help='compare the raw outputs of backends',
        description='Compare the raw outputs of a backend with those of another, on random inputs '
        'and on pictures. Exit code 1 above the tolerance.',
    )
    parser.add_argument(
        'pictures', nargs='*', metavar='PICTURE', help='default: the bundled pictures'
    )
    parser.add_argument(
        '--model', default='back', help=f'{", ".join(MODELS)}, or a model file (default: back)'
    )
    parser.add_argument(
        '--backend', default='onnxruntime', help=f'what is tested: {", ".join(BACKENDS)}'
    )
    parser.add_argument(
        '--against',
        help=f'{", ".join(BACKENDS)} or {LITERT} on the original .tflite file '
        '(default: every other one that is installed)',
    )
    parser.add_argument('--device', default='auto', help='of what is tested (default: auto)')
    parser.add_argument('--tflite', type=Path, help='the original for litert, if not installed')
    parser.add_argument(
        '--tolerance', type=float, default=parity.TOLERANCE, help='default: %(default)s'
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compare; 1 if anything is above the tolerance."""
    names = [*BACKENDS, LITERT]
    for option in ('backend', 'against'):
        value = getattr(options, option)
        if value is not None and value not in names:
            raise ConfigurationError(
                f"--{option} '{value}' is unknown; there are: {', '.join(names)}"
            )
    named, file = find_model(options.model)
    tested = open_backend(options.backend, named, file, device=options.device, threads=0)
    print(f'{options.backend}: {tested.description}, {file}')
    pictures = [read_picture(picture) for picture in options.pictures] or bundled_pictures()
    inputs = parity.make_inputs(tested.model, pictures)
    differences = []
    for other in [options.against] if options.against else names:
        if other == options.backend and not options.against:
            continue
        try:
            reference = (
                parity.LiteRt(tested.model, options.tflite)
                if other == LITERT
                else open_backend(other, named, file, device='auto', threads=0)
            )
        except (BackendError, ModelError) as error:  # such as an .om file, which only a board reads
            if options.against:
                raise
            print(f'not compared with {other}: {error}')
            continue
        differences += parity.compare(
            f'{options.backend} - {other}', tested.infer, reference.infer, inputs
        )
    if not differences:
        raise ConfigurationError(
            'there is nothing to compare with: pip install torch onnx, or ai-edge-litert'
        )
    return print_differences(differences, options.tolerance)
