"""What users can set: declared once, with default, meaning and allowed values.

The node's parameters, the command line's help texts and the Python classes all follow from the
declarations here.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from blazeface_ros.core.tiling import MOST_TILES
from blazeface_ros.errors import ConfigurationError, shortened

SEARCHES = ('exhaustive', 'scan')


@dataclass(frozen=True)
class Declaration:
    """What one setting means and which values it takes.

    Attributes:
        default: its value if nobody sets it; its type is the setting's type.
        description: one or two sentences for people.
        limits: smallest and largest value, of a number.
        choices: the allowed values, of a text.
        live: whether it may be changed while the node runs.
    """

    default: Any
    description: str
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    live: bool = True

    @property
    def allowed(self) -> str:
        """What values it takes, for people."""
        if self.choices:
            return 'one of ' + ', '.join(self.choices)
        names = {
            bool: 'true or false',
            int: 'a whole number',
            float: 'a number',
            tuple: 'a list of texts',
        }
        kind = names.get(type(self.default), 'a text')
        return f'{kind} from {self.limits[0]} to {self.limits[1]}' if self.limits else kind

    def checked(self, name: str, value: Any) -> Any:
        """The value in this setting's own type.

        Args:
            name: what to call the setting in an error.
            value: what somebody set; NumPy's numbers and any list are taken, too.

        Raises:
            ConfigurationError: if the value is not allowed.
        """
        kind = type(self.default)
        known: dict[type, tuple[type, ...]] = {
            bool: (bool, np.bool_),
            int: (numbers.Integral,),
            float: (numbers.Real,),
            tuple: (list, tuple),
        }
        fits = isinstance(value, known.get(kind, (kind,)))
        if kind in (int, float) and isinstance(value, bool):
            fits = False
        if fits and kind is tuple:
            fits = all(isinstance(item, str) for item in value)
        if (
            not fits
            or (self.limits and not self.limits[0] <= value <= self.limits[1])
            or (self.choices and value not in self.choices)
        ):
            raise ConfigurationError(f'{name} is {_shown(value)}; it must be {self.allowed}')
        return kind(value)


def _shown(value: object) -> str:
    try:
        return shortened(repr(value))
    except (ValueError, RecursionError):  # Python prints no number of some thousand digits
        return f'a huge {type(value).__name__}'


def setting(
    default: Any,
    description: str,
    limits: tuple[float, float] | None = None,
    choices: Iterable[str] = (),
    live: bool = True,
) -> Any:
    """A field of a dataclass of settings; the arguments are those of `Declaration`."""
    declaration = Declaration(default, description, limits, tuple(choices), live)
    return field(default=default, metadata={'declaration': declaration})


def declarations(settings: type) -> dict[str, Declaration]:
    """The declarations of a class of settings by name, in their order."""
    return {one.name: one.metadata['declaration'] for one in fields(settings)}


class _Checked:
    """Checks all fields of a dataclass of settings."""

    def __post_init__(self) -> None:
        for name, declaration in declarations(type(self)).items():
            object.__setattr__(self, name, declaration.checked(name, getattr(self, name)))


@dataclass(frozen=True)
class DetectionSettings(_Checked):
    """How single frames are searched.

    Raises:
        ConfigurationError: if a value is not allowed.
    """

    score_threshold: float = setting(
        0.0,
        "Lowest score of a face, from 0 to 1. 0 takes the model's own threshold.",
        limits=(0.0, 1.0),
    )
    iou_threshold: float = setting(
        0.3,
        'Boxes that overlap by more than this intersection over union count as one face.',
        limits=(0.0, 1.0),
    )
    max_faces: int = setting(
        0,
        'At most this many faces of an image, those with the highest scores. 0 sets no limit.',
        limits=(0, 1000),
    )
    smallest_face: int = setting(
        0,
        'Width in image pixels of the smallest face to find. 0 searches the whole image in one '
        'pass; otherwise the image is tiled.',
        limits=(0, 4096),
    )


@dataclass(frozen=True)
class PipelineSettings(DetectionSettings):
    """How the frames of cameras and videos are searched and their faces tracked.

    Raises:
        ConfigurationError: if a value is not allowed.
    """

    search: str = setting(
        'exhaustive',
        'exhaustive searches all tiles in every image; scan searches tiles_per_frame of them, in '
        'turn and around known faces.',
        choices=SEARCHES,
    )
    tiles_per_frame: int = setting(
        3,
        'How many tiles of an image a scan searches. Images of several cameras that are processed '
        'together share their tiles.',
        limits=(1, MOST_TILES),
    )
    tracking: bool = setting(False, 'Whether each face keeps an id from image to image.')
    track_lost_after: float = setting(
        1.0,
        'Seconds for which a face that is not seen keeps its id.',
        limits=(0.05, 60.0),
    )
    track_smoothing: bool = setting(
        False,
        'Whether the boxes and keypoints of tracked faces are smoothed (one-euro filter).',
    )


def describe(name: str) -> str:
    """What a setting of `PipelineSettings` means, for help texts."""
    return declarations(PipelineSettings)[name].description
