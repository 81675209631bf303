"""Annotated pictures: which faces are in them, as people have marked them, and how to read that."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.faces import KEYPOINT_NAMES
from blazeface_ros.errors import ConfigurationError, describe_file_error, quoted, shortened
from blazeface_ros.recordings.media import PICTURE_SUFFIXES, Pixels, read_regular_file

Array = npt.NDArray[np.float32]

#: Points of a face in ground_truth.json: the eye on the left of the picture, the eye on its right,
#: nose, mouth. On an upright face they are the network's first four keypoints.
ANNOTATED_POINTS = 4
#: A larger file is taken for a mistake. WIDER FACE's largest has 12 MB.
MOST_BYTES = 2**28
#: No picture has a pixel as far from its corner as this.
MOST_PIXELS_OF_SIDE = 10**6
#: The numbers of each face in WIDER FACE's text format.
WIDER_COLUMNS = (
    *('x', 'y', 'w', 'h'),
    *('blur', 'expression', 'illumination', 'invalid', 'occlusion', 'pose'),
)


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The annotated faces of one picture, as parallel arrays.

    Attributes:
        boxes: float32 [N, 4], x0, y0, x1, y1 in pixels of the picture.
        keypoints: float32 [N, 6, 2], x, y in pixels, in `KEYPOINT_NAMES` order. NaN stands for a
            keypoint that is not annotated.
        ignored: bool [N]. A detector need not find an ignored face, and is not wrong if it does.
    """

    boxes: Array
    keypoints: Array
    ignored: npt.NDArray[np.bool_]

    @classmethod
    def from_lists(
        cls,
        boxes: npt.ArrayLike,
        points: Sequence[npt.ArrayLike | None] | None = None,
        ignored: npt.ArrayLike | None = None,
    ) -> GroundTruth:
        """Make the arrays from lists.

        Args:
            boxes: N boxes x0, y0, x1, y1.
            points: for each of the N faces its first keypoints as x, y, or None. None in place of
                the list means that no face has annotated points.
            ignored: N flags. None means that no face is ignored.
        """
        corners = np.array(boxes, np.float32).reshape(-1, 4)
        count = len(corners)
        keypoints = np.full((count, len(KEYPOINT_NAMES), 2), np.nan, np.float32)
        for face, known in zip(keypoints, points or ()):
            if known is not None:
                positions = np.array(known, np.float32)
                face[: len(positions)] = positions
        flags = np.zeros(count, bool) if ignored is None else np.array(ignored, bool)
        return cls(corners, keypoints, flags)

    @property
    def widths(self) -> Array:
        """The widths of the faces, float32 [N], in pixels."""
        return self.boxes[:, 2] - self.boxes[:, 0]


#: A picture, uint8 [H, W, 3] in bgr order, and its faces.
Sample = tuple[Pixels, GroundTruth]


class AnnotatedPicture(NamedTuple):
    """A picture file and the faces in it."""

    file: Path
    truth: GroundTruth


def read_ground_truth(file: str | Path, images: str | Path | None = None) -> list[AnnotatedPicture]:
    """Read annotations: JSON, or the text format of the WIDER FACE data set.

    JSON is a list of {"image": path, "faces": [{"box": [x0, y0, x1, y1], "points": [[x, y], …]}]}.
    A face has `ANNOTATED_POINTS` points, or none. In WIDER FACE's format, faces that are marked
    invalid are ignored, and boxes without area are left out.

    Args:
        file: the annotations.
        images: the folder to which the pictures' paths are relative. None: the folder of the file,
            a folder `images` beside it, or WIDER FACE's own folders, whichever has the pictures.

    Raises:
        ConfigurationError: if the file is missing or malformed (the text names the place), or if
            the pictures are not found.
    """
    path = Path(file)
    name = f'ground truth {quoted(path)}'
    try:
        text = read_regular_file(path, MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f'{name} {describe_file_error(error)}') from error
    parse = _parse_json if text.lstrip().startswith(('[', '{')) else _parse_wider
    try:
        named = parse(text, name)
    except RecursionError as error:
        raise ConfigurationError(f'{name} has too many brackets in one another') from error
    if not named:
        raise ConfigurationError(f'{name} names no picture')
    folder = _find_folder(path, images, named[0][0])
    return [AnnotatedPicture(folder / name, truth) for name, truth in named]


def _find_folder(path: Path, images: str | Path | None, first: str) -> Path:
    """Find the folder that holds the first picture."""
    if images is not None:
        folders = [Path(images)]
    else:
        # WIDER FACE: wider_face_split/wider_face_val_bbx_gt.txt, WIDER_val/images/0--Parade/….
        try:
            base = path.parent.absolute()
        except OSError as error:  # the current folder was removed
            raise ConfigurationError(f'the current folder {describe_file_error(error)}') from error
        folders = [base, base / 'images']
        for part in ('train', 'val'):
            if f'_{part}_' in path.name:
                folders += [top / f'WIDER_{part}' / 'images' for top in (base, base.parent)]
    for folder in folders:
        if os.path.isfile(folder / first):  # which does not raise if the name cannot be a file's
            return folder
    tried = ', '.join(quoted(folder) for folder in folders)
    raise ConfigurationError(
        f'picture {quoted(first)} of {quoted(path)} is not in {tried}; --images says where the '
        'pictures are'
    )


def _parse_json(text: str, name: str) -> list[tuple[str, GroundTruth]]:
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f'{name} is no JSON: {error}') from error
    if not isinstance(entries, list):
        raise ConfigurationError(f'{name} must be a list of pictures')
    named = []
    for number, entry in enumerate(entries, 1):
        place = f'{name}, picture {number}'
        if not (
            isinstance(entry, dict)
            and isinstance(entry.get('image'), str)
            and isinstance(entry.get('faces'), list)
        ):
            raise ConfigurationError(f'{place} needs "image", a path, and "faces", a list')
        place += f' ({quoted(entry["image"])})'
        faces = [
            _parse_json_face(face, f'{place}, face {index}')
            for index, face in enumerate(entry['faces'], 1)
        ]
        boxes, points = [box for box, _ in faces], [known for _, known in faces]
        named.append((entry['image'], GroundTruth.from_lists(boxes, points)))
    return named


def _parse_json_face(face: Any, place: str) -> tuple[Array, Array | None]:
    """Read the box [4] and the points [4, 2] of a face, if it has points."""
    face = face if isinstance(face, dict) else {'box': face}
    box = _numbers(face.get('box'), (4,))
    if box is None or (box[2:] <= box[:2]).any():
        raise ConfigurationError(
            f'{place}: the box must be [x0, y0, x1, y1] with x0 < x1 and y0 < y1 in pixels, '
            f'got {shortened(str(face.get("box")))}'
        )
    points = _numbers(face.get('points'), (ANNOTATED_POINTS, 2))
    if points is None and face.get('points'):
        raise ConfigurationError(
            f'{place}: the points must be {ANNOTATED_POINTS} times [x, y], '
            f'got {shortened(str(face["points"]))}'
        )
    return box, points


def _numbers(value: Any, shape: tuple[int, ...]) -> Array | None:
    """Make an array. Gives None unless the value is numbers of this shape, all of them sensible."""
    try:
        numbers = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    sensible = numbers.shape == shape and (np.abs(numbers) < MOST_PIXELS_OF_SIDE).all()
    return numbers.astype(np.float32) if sensible else None


def _parse_wider(text: str, name: str) -> list[tuple[str, GroundTruth]]:
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()

    def error(number: int, expected: str) -> ConfigurationError:
        got = quoted(lines[number]) if number < len(lines) else 'the end of the file'
        return ConfigurationError(f'{name}, line {number + 1}: expected {expected}, got {got}')

    named = []
    number = 0
    while number < len(lines):
        picture = lines[number]
        if Path(picture).suffix.lower() not in PICTURE_SUFFIXES:
            raise error(number, "a picture's path (or there are more faces than their count says)")
        number += 1
        if number == len(lines) or not re.fullmatch(r'[0-9]{1,9}', lines[number]):
            raise error(number, f'the number of faces of {quoted(picture)}')
        count = int(lines[number])
        number += 1
        rows = []
        # A picture without faces still has a row, of zeros.
        for _ in range(max(count, 1)):
            values = lines[number].split() if number < len(lines) else []
            row = _numbers(values, (len(WIDER_COLUMNS),))
            if row is None:
                if not count:  # other writers of this format leave the row of zeros out
                    break
                raise error(number, f'{len(WIDER_COLUMNS)} numbers {" ".join(WIDER_COLUMNS)}')
            rows.append(row)
            number += 1
        table = np.array(rows, np.float32).reshape(-1, len(WIDER_COLUMNS))
        table = table[(table[:, 2:4] > 0).all(1)]
        corners = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], 1)
        invalid = table[:, WIDER_COLUMNS.index('invalid')] != 0
        named.append((picture, GroundTruth.from_lists(corners, ignored=invalid)))
    return named
