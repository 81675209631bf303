"""Backends: the libraries that run the network, one file each.

A backend imports its library only when it is opened.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from blazeface_ros.errors import ConfigurationError
from blazeface_ros.models.catalogue import Model

Array = npt.NDArray[np.float32]

#: Backends by the name users give: (module, class).
BACKENDS = {
    'onnxruntime': ('blazeface_ros.backends.onnx_runtime', 'OnnxRuntimeBackend'),
    'ascend': ('blazeface_ros.backends.ascend', 'AscendBackend'),
    'torch': ('blazeface_ros.backends.pytorch', 'PyTorchBackend'),
    'litert': ('blazeface_ros.backends.litert', 'LiteRtBackend'),
}


class Backend(Protocol):
    """A network that is loaded and ready to run.

    Attributes:
        model: the network that the file holds.
        description: the library and the device that run it, as text for people.
    """

    model: Model
    description: str

    def infer(self, batch: Array) -> tuple[Array, Array]:
        """Run the network on a batch of inputs.

        Args:
            batch: float32 [N, 3, S, S], C-contiguous; red, green and blue from -1 to 1.

        Returns:
            The raw outputs: coordinates, float32 [N, A, 16], and logits, float32 [N, A, 1]. The
            arrays belong to the caller.

        Raises:
            BackendError: if the batch has another shape, or the library or the device fails.
        """
        ...

    def close(self) -> None:
        """Release everything the backend holds. Calling it again does nothing."""
        ...


def open_backend(
    name: str, model: Model | None, file: Path, *, device: str, threads: int
) -> Backend:
    """Load a network.

    Args:
        name: one of `BACKENDS`.
        model: the network that the file must hold; None accepts any network of the catalogue.
        file: the model file.
        device: 'auto', or a device by the name the backend gives it.
        threads: number of CPU threads the network uses; 0: as many as make it faster.

    Raises:
        ConfigurationError: if there is no such backend or no such device.
        BackendError: if the backend's library or the device is missing.
        ModelError: if the file cannot be read or does not hold this network.
    """
    if name not in BACKENDS:
        raise ConfigurationError(f"backend '{name}' is unknown; there are: {', '.join(BACKENDS)}")
    module, class_name = BACKENDS[name]
    backend_class = getattr(importlib.import_module(module), class_name)
    backend: Backend = backend_class(model, file, device=device, threads=threads)
    return backend
