"""PyTorch: runs the network on the CPU or on a CUDA device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from blazeface_ros.backends.cores import useful_threads
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError
from blazeface_ros.models.catalogue import Model, check_network

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.float32]


class PyTorchBackend:
    """A network in PyTorch, on the CPU or on a CUDA device.

    Args:
        model: the network that the file must hold; None accepts any network of the catalogue.
        file: a .pth file that `blazeface convert` wrote, or an .onnx file that it wrote, such as
            the shipped ones.
        device: 'auto' (CUDA where it is available, else the CPU), 'cpu', 'cuda' or 'cuda:N'.
        threads: number of CPU threads the network uses; 0: as many as make it faster. PyTorch has
            one such setting for the whole process.

    Raises:
        BackendError: if PyTorch or the device is missing.
        ConfigurationError: if the device is unknown.
        ModelError: if the file cannot be read or does not hold this network.
    """

    def __init__(self, model: Model | None, file: Path, *, device: str, threads: int) -> None:
        try:
            import torch
        except ImportError as error:
            raise BackendError(
                f"backend 'torch' needs the Python package torch ({error}): pip install torch"
            ) from error
        from blazeface_ros.models.torch_file import load_network

        if file.suffix not in ('.pth', '.onnx'):
            raise ModelError(f"backend 'torch' reads .pth and .onnx files, not '{file}'")
        self._torch = torch
        self._device = self._find_device(device)
        found, network, _ = load_network(file)
        if model is not None and found is not model:
            check_network(file, model, found.input_shape, found.output_shapes)
        self.model = found
        if self._device.type == 'cpu':
            torch.set_num_threads(useful_threads(threads))
        # Measured on one core, the channels-last order takes 0.7 of the time.
        self._format = torch.channels_last
        self._network = network.to(self._device).to(memory_format=self._format)
        name = torch.cuda.get_device_name(self._device) if self._device.type == 'cuda' else 'CPU'
        self.description = f'PyTorch {torch.__version__}, {name}'

    def _find_device(self, name: str) -> torch.device:
        torch = self._torch
        cuda = torch.cuda.is_available()
        if name == 'auto':
            return torch.device('cuda:0' if cuda else 'cpu')
        try:
            device = torch.device(name)
        except RuntimeError:
            device = None
        if device is None or device.type not in ('cpu', 'cuda'):
            raise ConfigurationError(
                f"device '{name}' is unknown to backend 'torch'; there are: auto, cpu, cuda, cuda:N"
            )
        if device.type == 'cuda' and not (cuda and (device.index or 0) < torch.cuda.device_count()):
            raise BackendError(
                f"device '{name}' is not available: PyTorch {torch.__version__} finds "
                f"{torch.cuda.device_count()} CUDA devices; use device 'auto' or 'cpu', or install "
                'a build of torch for the CUDA version of this machine'
            )
        return device

    def infer(self, batch: Array) -> tuple[Array, Array]:
        """See `Backend.infer`."""
        torch = self._torch
        try:
            with torch.inference_mode():
                inputs = torch.from_numpy(batch).to(self._device)
                outputs = self._network(inputs.contiguous(memory_format=self._format))
                coordinates, logits = (output.cpu().numpy() for output in outputs)
        except RuntimeError as error:
            raise BackendError(f'PyTorch could not run the network: {error}') from error
        return coordinates, logits

    def close(self) -> None:
        """See `Backend.close`. The memory is released with the last reference to the backend."""
