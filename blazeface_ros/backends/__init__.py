"""What runs the network. One file a backend; each imports its library only when it is opened."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from blazeface_ros.errors import ConfigurationError
from blazeface_ros.models.catalogue import Model

Array = npt.NDArray[np.float32]

#: Backends by the users' name: (module, class).
BACKENDS = {
    'onnxruntime': ('blazeface_ros.backends.onnx_runtime', 'OnnxRuntimeBackend'),
    'ascend': ('blazeface_ros.backends.ascend', 'AscendBackend'),
    'torch': ('blazeface_ros.backends.pytorch', 'PyTorchBackend'),
}


class Backend(Protocol):
    """A network that is loaded and ready.

    Attributes:
        model: the network it turned out to be.
        description: the library and device that really run, for people.
    """

    model: Model
    description: str

    def infer(self, batch: Array) -> tuple[Array, Array]:
        """Run the network.

        Args:
            batch: float32 [N, 3, S, S], C-contiguous, red, green, blue from -1 to 1.

        Returns:
            coordinates float32 [N, A, 16] and logits float32 [N, A, 1], raw.
        """
        ...

    def close(self) -> None:
        """Give everything back; may be called twice."""
        ...


def open_backend(
    name: str, model: Model | None, file: Path, *, device: str, threads: int, **options: Any
) -> Backend:
    """Load a network.

    Args:
        name: one of `BACKENDS`.
        model: the network that the file should hold; None: whichever it does.
        file: its weights.
        device: 'auto', or as the backend names it.
        threads: for the network on a CPU; 0: as many as help.
        options: that this backend alone has, such as `compile` of 'torch'.

    Raises:
        ConfigurationError: if there is no such backend, or it has no such option.
        BackendError: if its library or device is missing.
        ModelError: if the file is not this network.
    """
    if name not in BACKENDS:
        raise ConfigurationError(f"backend '{name}' is unknown; there are: {', '.join(BACKENDS)}")
    module, class_name = BACKENDS[name]
    backend = getattr(importlib.import_module(module), class_name)
    known = inspect.signature(backend).parameters
    for option in options:
        if option not in known:
            raise ConfigurationError(f"backend '{name}' has no option '{option}'")
    opened: Backend = backend(model, file, device=device, threads=threads, **options)
    return opened
