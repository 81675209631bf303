"""What the handles of pyACL stand for."""

from dataclasses import dataclass, field

import numpy as np

from acl_double.om_file import Network


@dataclass
class Memory:
    """Memory of a device, or of the host from malloc_host."""

    address: int
    bytes: np.ndarray
    on_device: bool
    device: int


@dataclass
class Context:
    """A context of create_context."""

    device: int


@dataclass
class Task:
    """A run of a model that was submitted and not yet waited for."""

    model: int
    inputs: list
    outputs: list
    code: int


@dataclass
class Stream:
    """A stream with the tasks that were submitted to it, in order."""

    context: int
    tasks: list = field(default_factory=list)


@dataclass
class LoadedModel:
    """A model in the context that it was loaded in."""

    context: int
    network: Network


@dataclass
class Buffer:
    """A data buffer: some memory, which it does not own."""

    address: int
    size: int


@dataclass
class Description:
    """The description of a model. It is empty until get_desc has filled it."""

    network: Network | None = None


@dataclass
class Dataset:
    """A list of buffers, which it does not own."""

    buffers: list = field(default_factory=list)
