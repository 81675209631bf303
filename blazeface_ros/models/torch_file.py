"""Networks in PyTorch with their weights, from the .pth and .onnx files of `conversion`.

A .pth file is a dictionary of plain data that loads with `weights_only=True`: `model` is the name
of the network, `source_sha256` the SHA-256 of the .tflite file its weights come from, and `weights`
the state dict.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from blazeface_ros.errors import ModelError
from blazeface_ros.models.catalogue import MODELS, ONNX_MODEL, ONNX_SOURCE, Model
from blazeface_ros.models.networks import make_network


def pth_content(model: Model, network: nn.Module, source_sha256: str) -> dict[str, Any]:
    """The content of a .pth file."""
    return {
        'model': model.name,
        'source_sha256': source_sha256,
        'weights': network.state_dict(),
    }


def load_network(file: Path) -> tuple[Model, nn.Module, str]:
    """Read a network and its weights.

    Args:
        file: a .pth file or an .onnx file that `conversion` wrote.

    Returns:
        The entry of the catalogue, the network in evaluation mode, and the SHA-256 of the .tflite
        file its weights come from.

    Raises:
        ModelError: if the file cannot be read, or its weights are not those of its network.
    """
    name, source_sha256, weights = (_read_onnx if file.suffix == '.onnx' else _read_pth)(file)
    if name not in MODELS:
        raise ModelError(
            f"model file '{file}' holds the network {name!r}; known are: {', '.join(MODELS)}"
        )
    network = make_network(name).eval()
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"model file '{file}' is not the network '{name}': {error}") from error
    return MODELS[name], network, source_sha256


def _read_pth(file: Path) -> tuple[Any, str, dict[str, Tensor]]:
    try:
        content = torch.load(file, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"model file '{file}' was not opened: it holds more than plain weights, which could "
            'run code, or is damaged; make it again with `blazeface convert tflite-to-torch`'
        ) from error
    except Exception as error:  # a damaged archive raises exceptions of any class
        raise ModelError(f"model file '{file}' is not a readable .pth file: {error}") from error
    try:
        return content['model'], str(content['source_sha256']), dict(content['weights'])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"model file '{file}' does not have the entries 'model', 'source_sha256' and "
            "'weights'; make it with `blazeface convert tflite-to-torch`"
        ) from error


def _read_onnx(file: Path) -> tuple[Any, str, dict[str, Tensor]]:
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise ModelError(
            f"the weights in '{file}' are read with the Python package onnx, which is missing: "
            'pip install onnx'
        ) from error
    try:
        model = onnx.load(file)
    except Exception as error:  # the errors of protobuf have no public base class
        raise ModelError(f"model file '{file}' is not a readable ONNX file: {error}") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    weights = {
        constant.name: torch.from_numpy(numpy_helper.to_array(constant).copy())
        for constant in model.graph.initializer
        if constant.name.endswith(('.weight', '.bias'))
    }
    return metadata.get(ONNX_MODEL), metadata.get(ONNX_SOURCE, ''), weights
