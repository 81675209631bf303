"""The networks by name, with what the pipeline has to know of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from blazeface_ros.errors import ModelError

#: Names of an .onnx file's metadata entries.
ONNX_MODEL, ONNX_SOURCE = 'blazeface_ros.model', 'blazeface_ros.source_sha256'
#: Values an anchor predicts: box centre and size, and six keypoints, x and y each.
COORDINATES = 16


@dataclass(frozen=True)
class Model:
    """A BlazeFace network as the pipeline sees it.

    Attributes:
        name: what users call it.
        input_size: side of the square input in pixels.
        grids: (cells along a side, anchors per cell) of each output layer, in output order.
        score_threshold: MediaPipe's own for these weights.
        smallest_share: width of the smallest face that it finds reliably, as a share of the side
            of its input (measured: docs/range.md).
        source_sha256: of the .tflite file, as MediaPipe published it, with these weights.
    """

    name: str
    input_size: int
    grids: tuple[tuple[int, int], ...]
    score_threshold: float
    smallest_share: float
    source_sha256: str

    @property
    def anchors(self) -> int:
        """How many candidates the network gives for one window."""
        return sum(cells * cells * anchors_per_cell for cells, anchors_per_cell in self.grids)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Of one window, without the batch: (channels, height, width)."""
        return 3, self.input_size, self.input_size

    @property
    def output_shapes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Of one window's coordinates and logits."""
        return (self.anchors, COORDINATES), (self.anchors, 1)


# Grids and thresholds: MediaPipe's face_detection_*.pbtxt. Strides 16, 32, 32, 32 on 256 pixels
# are 16 x 16 cells with 2 anchors and 8 x 8 cells with 6, and so are 8, 16, 16, 16 on 128; stride 4
# on 192 pixels is 48 x 48 cells with 1.
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
    """Find out which network a file holds, as far as its shapes tell.

    `full_range` and `full_range_sparse` look alike, and are treated alike; a name in the file's
    metadata tells them apart.

    Args:
        file: for the error.
        expected: the network that it should hold; None: any will do.
        input_shape: the file's own, without the batch: (channels, height, width).
        output_shapes: the same, in any order.
        name: that the file gives itself, if any.

    Raises:
        ModelError: if these are not the shapes of the expected, or of any, network.
    """
    shapes = [tuple(shape) for shape in output_shapes]
    candidates = [expected] if expected else sorted(MODELS.values(), key=lambda m: m.name != name)
    for model in candidates:
        if model.input_shape == tuple(input_shape) and set(model.output_shapes) == set(shapes):
            return model
    wanted = '; '.join(
        f'{model.name}: {model.input_shape} to {model.output_shapes}'
        for model in candidates
    )
    raise ModelError(
        f"model file '{file}' takes {tuple(input_shape)} to {shapes}, which is not the network "
        f'wanted ({wanted})'
    )


def shared_file(name: str) -> Path | None:
    """A file the package ships, such as 'weights/blazeface_back.onnx'.

    Looked for beside the source tree and in the installation's share/blazeface_ros, where
    colcon and pip both put it.
    """
    for folder in Path(__file__).resolve().parents:
        for candidate in (folder / name, folder / 'share' / 'blazeface_ros' / name):
            if candidate.is_file():
                return candidate
    return None


def find_model(name_or_path: str) -> tuple[Model | None, Path]:
    """Find a network and its weights file.

    Args:
        name_or_path: a name of `MODELS`, or the path of a file with one of them.

    Returns:
        The model, None for a path (the backend tells it from the file's shapes), and the file
        with its weights. A file that the package ships has been checked against its manifest.

    Raises:
        ModelError: if there is no such name or file, or a shipped file is not as it was shipped.
    """
    model = MODELS.get(name_or_path)
    if model is not None:
        return model, _shipped_weights(model)
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        raise ModelError(
            f"model '{name_or_path}' is neither a known name ({', '.join(MODELS)}) "
            'nor a file that exists'
        )
    return None, path


def sha256_of(file: Path) -> str:
    """A file's SHA-256, in hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _shipped_weights(model: Model) -> Path:
    manifest_file = shared_file('weights/MANIFEST.json')
    file = shared_file(f'weights/blazeface_{model.name}.onnx')
    if file is None or manifest_file is None:
        missing = 'weights/MANIFEST.json' if file else f'weights/blazeface_{model.name}.onnx'
        raise ModelError(
            f"model '{model.name}' is not installed (share/blazeface_ros/{missing} is missing): "
            'install the package again'
        )
    entry = json.loads(manifest_file.read_text())[file.name]
    found = sha256_of(file)
    if found != entry['sha256']:
        raise ModelError(
            f"model file '{file}' has SHA-256 {found}, but was shipped with {entry['sha256']}: "
            'it is damaged or was replaced; install the package again, or name another file by '
            'its path'
        )
    return file
