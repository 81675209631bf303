"""Files with weights that are damaged, or belong to something else."""

import pickle

import numpy as np
import pytest
import torch

from blazeface_ros.errors import ModelError
from blazeface_ros.models import conversion
from blazeface_ros.models.catalogue import MODELS, find_original
from blazeface_ros.models.networks import make_network
from blazeface_ros.models.tflite_reader import load_weights
from blazeface_ros.models.torch_file import load_network

pytestmark = [pytest.mark.torch, pytest.mark.litert]


@pytest.mark.parametrize('share', [0, 0.001, 0.1, 0.5, 0.99, 0.9999])
def test_a_truncated_tflite_file_is_refused(share, tmp_path):
    data = find_original(MODELS['full_range_sparse']).read_bytes()
    file = tmp_path / 'cut.tflite'
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match=r'cut.tflite'):
        conversion.tflite_to_torch(file, tmp_path / 'n.pth')
    assert not (tmp_path / 'n.pth').exists()


def test_damaged_bytes_are_refused_or_harmless(tmp_path):
    data = bytearray(find_original(MODELS['front']).read_bytes())
    rng = np.random.default_rng(6)
    file = tmp_path / 'damaged.tflite'
    refused = 0
    for _ in range(60):
        damaged = bytearray(data)
        # The graph stands at the end of the file, the weights before it.
        for place in rng.integers(len(data) * 4 // 5, len(data), 8):
            damaged[place] ^= int(rng.integers(1, 256))
        file.write_bytes(damaged)
        try:
            load_weights(make_network('front'), file)
        except ModelError as error:
            assert 'damaged.tflite' in str(error)
            refused += 1
    assert refused > 10


def test_another_networks_tflite_file_is_refused_by_the_first_difference():
    with pytest.raises(ModelError, match=r'is another network: tensor \d+ .* wanted'):
        load_weights(make_network('front'), find_original(MODELS['back']))


def test_a_refused_file_leaves_the_network_as_it_was():
    network = make_network('front')
    before = {name: values.clone() for name, values in network.state_dict().items()}
    with pytest.raises(ModelError):
        load_weights(network, find_original(MODELS['back']))
    for name, values in network.state_dict().items():
        assert torch.equal(values, before[name])


def test_a_pth_file_that_would_run_code_is_refused(tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / 'ran'), 'w'))

    file = tmp_path / 'attack.pth'
    for write in (
        lambda: torch.save({'model': 'back', 'weights': Attack()}, file),
        lambda: file.write_bytes(pickle.dumps(Attack(), protocol=2)),
    ):
        write()
        with pytest.raises(ModelError, match='holds more than plain weights'):
            load_network(file)
        assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        ({'weights': {}}, "does not have the entries 'model', 'source_sha256' and"),
        ([1, 2], "does not have the entries 'model'"),
        ({'model': 'side', 'source_sha256': '', 'weights': {}}, "holds the network 'side'"),
        ({'model': 'back', 'source_sha256': '', 'weights': {}}, "is not the network 'back'"),
    ],
)
def test_a_pth_file_of_something_else_is_refused(content, sentence, tmp_path):
    file = tmp_path / 'other.pth'
    torch.save(content, file)
    with pytest.raises(ModelError, match=sentence):
        load_network(file)
