"""A double of `acl`, Huawei's pyACL. It simulates the contract of its functions, not the hardware.

It follows what the source of pyACL says about arguments, results, codes, threads and memory. It
knows nothing about boards. It is stricter than a board: what is undefined there, or passes without
an error, is a violation here. Violations are recorded as well as raised, so that a test sees them
even if other code caught the error. What is in the ledger at the end of a test has leaked.

An .om file is a small JSON file here, see `write_om`. ONNX Runtime runs the network in it.
"""

from acl_double.contract import DEVICE_MEMORY, FUNCTIONS
from acl_double.om_file import Gate, write_om
from acl_double.simulation import Simulation, write_report

__all__ = ['DEVICE_MEMORY', 'FUNCTIONS', 'Gate', 'Simulation', 'write_om', 'write_report']
