"""PyTorch: for CUDA, and for looking inside the network."""

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
    """A network in PyTorch, on the CPU or a CUDA device.

    Args:
        model: the network that the file should hold; None: whichever it does.
        file: a .pth file, or an .onnx file of this package's chain (the shipped ones are).
        device: 'auto' (CUDA where there is one), 'cpu', 'cuda' or 'cuda:N'.
        threads: of the network on the CPU; 0: as many as help. PyTorch has one setting for the
            whole process.
        compile: whether to run it through `torch.compile`: faster, after up to a minute at the
            first frame of each batch size.

    Raises:
        BackendError: if PyTorch or the device is missing.
        ConfigurationError: if the device is none that PyTorch knows.
        ModelError: if the file cannot be read, or is not such a network.
    """

    def __init__(
        self,
        model: Model | None,
        file: Path,
        *,
        device: str,
        threads: int,
        compile: bool = False,
    ) -> None:
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
        # Measured on one core, channels-last order takes 0.7 of the time.
        self._format = torch.channels_last
        network = network.to(self._device).to(memory_format=self._format)
        self._network = torch.compile(network) if compile else network
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
                f"device '{name}' is not there: PyTorch {torch.__version__} sees "
                f"{torch.cuda.device_count()} CUDA devices; use device 'auto' or 'cpu', or install "
                'a build of torch for your CUDA'
            )
        return device

    def infer(self, batch: Array) -> tuple[Array, Array]:
        """See `Backend.infer`."""
        torch = self._torch
        try:
            with torch.inference_mode():
                windows = torch.from_numpy(batch).to(self._device)
                outputs = self._network(windows.contiguous(memory_format=self._format))
                coordinates, logits = (output.cpu().numpy() for output in outputs)
        except RuntimeError as error:
            raise BackendError(f'PyTorch could not run the network: {error}') from error
        return coordinates, logits

    def close(self) -> None:
        """See `Backend.close`; memory goes with its last reference."""
