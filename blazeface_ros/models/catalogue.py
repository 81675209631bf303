"""The networks by name, with what the pipeline has to know of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from blazeface_ros.errors import ModelError

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
        source_sha256: of the .tflite file, as MediaPipe published it, with these weights.
    """

    name: str
    input_size: int
    grids: tuple[tuple[int, int], ...]
    score_threshold: float
    source_sha256: str

    @property
    def anchors(self) -> int:
        """How many candidates the network gives for one window."""
        return sum(cells * cells * anchors_per_cell for cells, anchors_per_cell in self.grids)


# Grids and thresholds: MediaPipe's face_detection_*.pbtxt. Strides 16, 32, 32, 32 on 256 pixels
# are 16 x 16 cells with 2 anchors and 8 x 8 cells with 6.
MODELS = {
    model.name: model
    for model in (
        Model(
            name='back',
            input_size=256,
            grids=((16, 2), (8, 6)),
            score_threshold=0.65,
            source_sha256='e376cf6b168d5ece8a3cedb94acc4eb168a136aede125ccc3d903ef38f5beda8',
        ),
    )
}


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


def find_model(name_or_path: str) -> tuple[Model, Path]:
    """Find a network and its weights file.

    Args:
        name_or_path: a name of `MODELS`, or the path of an .onnx file of one of them.

    Returns:
        The model and the file with its weights.

    Raises:
        ModelError: if there is no such name or file.
    """
    if name_or_path in MODELS:
        file = shared_file(f'weights/blazeface_{name_or_path}.onnx')
        if file is None:
            raise ModelError(
                f"the weights of model '{name_or_path}' are not installed "
                f'(share/blazeface_ros/weights/blazeface_{name_or_path}.onnx): '
                'install the package again'
            )
        return MODELS[name_or_path], file
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        raise ModelError(
            f"model '{name_or_path}' is neither a known name ({', '.join(MODELS)}) "
            'nor a file that exists'
        )
    return MODELS['back'], path
