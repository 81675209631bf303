"""Sparse tensors of .tflite files."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tflite
from tflite.DimensionType import DimensionType
from tflite.SparseIndexVector import SparseIndexVector

from blazeface_ros.errors import ModelError

INDEX_VECTORS = {
    SparseIndexVector.Int32Vector: tflite.Int32Vector,
    SparseIndexVector.Uint16Vector: tflite.Uint16Vector,
    SparseIndexVector.Uint8Vector: tflite.Uint8Vector,
}


def densify(
    values: npt.NDArray[np.float32], sparsity: tflite.SparsityParameters, shape: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """Put the values of a sparse tensor in their places, and zeros everywhere else.

    The format is `SparsityParameters` of TensorFlow Lite's schema. A tensor is stored as a tree. It
    has one level for each dimension and, below these, one level for each dimension that is divided
    into blocks. Under each node, a dense level has all places of its dimension, and a compressed
    (CSR) level has only the places in its list: those under node i are
    `indices[segments[i] : segments[i + 1]]`. The leaves of the tree are the values.

    Args:
        values: float32 [K], in the order of the leaves.
        sparsity: the levels of the tree.
        shape: shape of the dense tensor.

    Returns:
        The dense tensor, float32 of that shape.

    Raises:
        ModelError: if the levels, the values and the shape contradict each other. Damaged data may
            raise other exceptions as well.
    """
    order = sparsity.TraversalOrderAsNumpy().tolist()
    blocked = [] if sparsity.BlockMapIsNone() else sparsity.BlockMapAsNumpy().tolist()
    levels = [sparsity.DimMetadata(i) for i in range(sparsity.DimMetadataLength())]
    rank = len(shape)
    if len(levels) != rank + len(blocked) or sorted(order) != list(range(len(levels))):
        raise ModelError('has a sparse tensor whose levels do not fit its dimensions')
    block = {dimension: rank + i for i, dimension in enumerate(blocked)}
    block_level = {dimension: levels[order.index(i)] for dimension, i in block.items()}
    if any(level.Format() != DimensionType.DENSE for level in block_level.values()):
        raise ModelError('has a sparse tensor whose blocks are sparse themselves')

    # The places of the nodes of one level, one row each; each level adds rows.
    places = np.zeros((1, len(levels)), np.int64)
    for level, dimension in zip(levels, order):
        if level.Format() == DimensionType.DENSE:
            dense = level.DenseSize()
            if not 0 < dense * len(places) <= np.prod(shape):
                raise ModelError(f'has a sparse tensor with more places than {list(shape)}')
            counts = np.full(len(places), dense)
            under = np.tile(np.arange(dense), len(places))
        else:
            segments = _index_vector(level.ArraySegmentsType(), level.ArraySegments())
            under = _index_vector(level.ArrayIndicesType(), level.ArrayIndices())
            counts = np.diff(segments)
            # np.repeat refuses segments that run backwards.
            if segments[0] != 0 or segments[-1] != len(under):
                raise ModelError('has a sparse tensor whose segments do not fit its indices')
        places = np.repeat(places, counts, axis=0)
        places[:, dimension] = under

    for dimension, level in block_level.items():
        places[:, dimension] *= level.DenseSize()
        places[:, dimension] += places[:, block[dimension]]
    dense_values = np.zeros(shape, np.float32)
    if len(values) != len(places) or (places < 0).any() or (places[:, :rank] >= shape).any():
        raise ModelError(f'has a sparse tensor whose places do not fit {list(shape)}')
    dense_values[tuple(places[:, :rank].T)] = values
    return dense_values


def _index_vector(kind: int, table: Any) -> npt.NDArray[np.int64]:
    vector = INDEX_VECTORS[kind]()
    vector.Init(table.Bytes, table.Pos)
    values: npt.NDArray[np.int64] = vector.ValuesAsNumpy().astype(np.int64)
    return values
