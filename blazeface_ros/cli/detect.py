"""`blazeface detect`: finds the faces in pictures and prints or draws them."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from blazeface_ros.backends import BACKENDS
from blazeface_ros.cli.tables import add_picture_limit
from blazeface_ros.core.detector import FaceDetector
from blazeface_ros.core.drawing import draw_faces, draw_tiles
from blazeface_ros.core.faces import KEYPOINT_NAMES, Faces
from blazeface_ros.core.settings import describe
from blazeface_ros.errors import ConfigurationError, ImageError, describe_file_error, quoted
from blazeface_ros.models.catalogue import MODELS
from blazeface_ros.recordings.media import read_picture


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        'detect',
        help='find the faces in pictures',
        description='Find the faces in pictures. Exit code 1 means that a picture could not be '
        'read or written.',
    )
    parser.add_argument('pictures', nargs='+', metavar='PICTURE', help='picture files')
    add_detector_options(parser)
    add_picture_limit(parser)
    parser.add_argument('--json', action='store_true', help='print one JSON object per picture')
    parser.add_argument(
        '--save',
        type=Path,
        metavar='FOLDER',
        help='write the pictures with the faces drawn on into this folder',
    )
    parser.add_argument(
        '--show-tiles',
        action='store_true',
        help='also draw the searched tiles on the pictures that --save writes',
    )
    # The name of --show-tiles in older versions. It is known only to be refused with a remedy.
    parser.add_argument('--show-windows', action='store_true', help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def add_detector_options(parser: argparse.ArgumentParser) -> None:
    """Add the options from which `make_detector` makes a detector."""
    parser.add_argument(
        '--model',
        default='back',
        help=f'network: {", ".join(MODELS)}, or the path of a model file (default: back)',
    )
    parser.add_argument(
        '--backend',
        default='onnxruntime',
        help=f'library that runs the network: {", ".join(BACKENDS)} (default: onnxruntime)',
    )
    parser.add_argument(
        '--device',
        default='auto',
        help='device that runs the network, by the name the backend gives it (default: auto)',
    )
    parser.add_argument(
        '--threads',
        type=int,
        default=0,
        help='Number of CPU threads for the network. 0 uses as many as help. (default: 0)',
    )
    parser.add_argument(
        '--score-threshold',
        type=float,
        default=0.0,
        help=f'{describe("score_threshold")} (default: 0)',
    )
    parser.add_argument(
        '--smallest-face',
        type=int,
        default=0,
        metavar='PIXELS',
        help=f'{describe("smallest_face")} (default: 0)',
    )


def make_detector(options: argparse.Namespace) -> FaceDetector:
    """Make the detector that the options ask for.

    Raises:
        BlazeFaceError: if an option cannot work.
    """
    return FaceDetector(
        options.model,
        options.backend,
        device=options.device,
        threads=options.threads,
        score_threshold=options.score_threshold,
        smallest_face=options.smallest_face,
    )


def run(options: argparse.Namespace) -> int:
    """Find the faces in all pictures.

    Returns:
        The exit code: 1 if a picture could not be read or written, else 0.
    """
    if options.show_windows:
        raise ConfigurationError('--show-windows has a new name: use --show-tiles')
    detector = make_detector(options)
    if options.save:
        try:
            options.save.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = describe_file_error(error, 'written')
            raise ConfigurationError(f'--save {quoted(options.save)} {problem}') from error
    failed = False
    saved: Counter[str] = Counter()
    for name in options.pictures:
        try:
            picture = read_picture(name, options.max_image_pixels)
            faces = detector.detect(picture)
            height, width = picture.shape[:2]
            plan = detector.plan(width, height)
            if plan.note:
                print(f'blazeface detect: {name}: {plan.note}', file=sys.stderr)
            print(as_json(name, width, height, faces) if options.json else as_text(name, faces))
            if options.save:
                if options.show_tiles:
                    draw_tiles(picture, plan.tiles)
                draw_faces(picture, faces)
                stem = Path(name).stem
                saved[stem] += 1  # several folders may have a picture of the same name
                number = f'_{saved[stem]}' if saved[stem] > 1 else ''
                _write(options.save / f'{stem}_faces{number}.png', picture)
        except ImageError as error:
            print(f'blazeface detect: {error}', file=sys.stderr)
            failed = True
    return int(failed)


def _write(file: Path, picture: npt.NDArray[np.uint8]) -> None:
    """Write a PNG. OpenCV's own imwrite ends the process if a name is not UTF-8."""
    try:
        encoded, data = cv2.imencode('.png', picture)
        if not encoded:
            raise ImageError(f'{quoted(file)} cannot be written: OpenCV makes no PNG of it')
        file.write_bytes(data.data)
    except OSError as error:
        raise ImageError(f'{quoted(file)} {describe_file_error(error, "written")}') from error


def as_json(name: str, width: int, height: int, faces: Faces) -> str:
    """Describe the faces of a picture as one line of JSON."""
    return json.dumps({'image': name, 'width': width, 'height': height, **faces.to_dict()})


def as_text(name: str, faces: Faces) -> str:
    """Describe the faces of a picture in lines for people."""
    lines = [f'{name}: {len(faces)} face{"" if len(faces) == 1 else "s"}']
    for (x0, y0, x1, y1), score, keypoints in zip(faces.boxes, faces.scores, faces.keypoints):
        lines.append(
            f'  score {score:.2f}  at {x0:.0f},{y0:.0f}  size {x1 - x0:.0f} x {y1 - y0:.0f}  '
            + '  '.join(
                f'{keypoint} {x:.0f},{y:.0f}' for keypoint, (x, y) in zip(KEYPOINT_NAMES, keypoints)
            )
        )
    return '\n'.join(lines)
