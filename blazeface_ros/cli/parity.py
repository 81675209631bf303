"""`blazeface parity`: whether a backend computes what another does."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blazeface_ros.backends import BACKENDS
from blazeface_ros.cli.tables import bundled_pictures, print_differences
from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError
from blazeface_ros.lab import parity
from blazeface_ros.models.catalogue import MODELS, Model, check_network, find_model
from blazeface_ros.recordings.media import read_picture

LITERT = 'litert'


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        'parity',
        help='compare the outputs and faces of backends',
        description='Compare the raw outputs of a backend with those of another, on random inputs '
        'and on pictures, the faces they find in the pictures, and how long they take. Exit code '
        '1 above the tolerance.',
    )
    parser.add_argument(
        'pictures', nargs='*', metavar='PICTURE', help='default: the bundled pictures'
    )
    parser.add_argument(
        '--model', default='back', help=f'{", ".join(MODELS)}, or a model file (default: back)'
    )
    parser.add_argument(
        '--om',
        type=Path,
        metavar='FILE',
        help='what the tested backend runs in place of --model, such as an .om file: with it, '
        '--backend is ascend by default, and --against onnxruntime',
    )
    parser.add_argument(
        '--backend', help=f'what is tested: {", ".join(BACKENDS)} (default: onnxruntime)'
    )
    parser.add_argument(
        '--against',
        help=f'{", ".join(BACKENDS)} or {LITERT} on the original .tflite file '
        '(default: every other one that is installed)',
    )
    parser.add_argument('--device', default='auto', help='of what is tested (default: auto)')
    parser.add_argument('--tflite', type=Path, help='the original for litert, if not installed')
    parser.add_argument(
        '--tolerance',
        type=float,
        help=f'default: {parity.TOLERANCE:g}; on an NPU, as for float16, '
        f'{parity.FLOAT16_TOLERANCE:g}, and {parity.FLOAT16_AT_FACES:g} for raw values at faces',
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
    if options.tolerance is not None and not 0 <= options.tolerance < math.inf:
        raise ConfigurationError(f'--tolerance is {options.tolerance}; it must be 0 or more')
    backend = options.backend or ('ascend' if options.om else 'onnxruntime')
    against = options.against or ('onnxruntime' if options.om else None)
    named, _ = find_model(options.model)
    tested = _open(options.om or options.model, backend, options.device, named)
    model = named or tested.model
    print(f'{backend}: {tested.backend.description}, {tested.model_file}')
    tolerance, at_faces = options.tolerance, None
    if tolerance is None:
        tolerance = parity.TOLERANCE
        if backend == 'ascend' or options.device.startswith('npu'):
            tolerance, at_faces = parity.FLOAT16_TOLERANCE, parity.FLOAT16_AT_FACES
    pictures = [read_picture(picture) for picture in options.pictures] or bundled_pictures()
    inputs = parity.make_inputs(model, pictures)
    differences: list[parity.Difference] = []
    references: list[tuple[str, FaceDetector]] = []
    for other in [against] if against else names:
        if other == backend and not against:
            continue
        what = f'{backend} - {other}'
        try:
            if other == LITERT:
                infer = parity.LiteRt(model, options.tflite).infer
            else:
                # The CPU is what others are measured by; backend 'ascend' has no such device.
                device = 'auto' if other == 'ascend' else 'cpu'
                reference = _open(options.model, other, device, model)
                references.append((what, reference))
                infer = reference.backend.infer
        except (BackendError, ModelError) as error:  # such as an .om file, which only a board reads
            if against:
                raise
            print(f'not compared with {other}: {error}')
            continue
        differences += parity.compare(what, tested.backend.infer, infer, inputs)
    if not differences:
        raise ConfigurationError(
            'there is nothing to compare with: pip install torch onnx, or ai-edge-litert'
        )
    failed = print_differences(differences, tolerance, at_faces)
    for what, reference in references:
        failed |= _compare_detectors(what, tested, reference, pictures, tolerance)
    return failed


def _open(
    model_or_file: str | Path, backend: str, device: str, expected: Model | None
) -> FaceDetector:
    detector = FaceDetector(str(model_or_file), backend, device=device)
    if expected:
        found = detector.model
        check_network(detector.model_file, expected, found.input_shape, found.output_shapes)
    return detector


def _compare_detectors(
    what: str,
    tested: FaceDetector,
    reference: FaceDetector,
    pictures: Sequence[npt.NDArray[np.uint8]],
    tolerance: float,
) -> int:
    """Print how far their faces are apart, and how long they take; 1 if above the tolerance."""
    found, wanted = ([d.detect(picture) for picture in pictures] for d in (tested, reference))
    faces = parity.compare_faces(found, wanted, reference.score_threshold)
    within = faces.within(tolerance)
    print(
        f'{what}: {faces.counts[0]} and {faces.counts[1]} faces; up to {faces.pixels:.2g} pixels '
        f'({faces.share:.1e} of a face) and {faces.score:.1e} of score apart'
        f'{"" if within else f", above the tolerance of {tolerance:.0e}"}'
    )
    window = parity.make_inputs(reference.model, [])['random'][:1]
    seconds = [parity.median_latency(d.backend.infer, window) for d in (tested, reference)]
    print(f'{what}: {" and ".join(f"{s * 1e3:.2f}" for s in seconds)} ms (median, network alone)')
    return int(not within)
