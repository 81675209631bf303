"""`import acl` with this folder on PYTHONPATH: the double, for a program in a process of its own.

When the program ends, the report of the double is written to the file $ACL_DOUBLE_REPORT as JSON.
Two more variables may hold JSON: $ACL_DOUBLE_MACHINE the arguments of `acl_double.Simulation`, and
$ACL_DOUBLE_FAULTS a list of arguments of its method `fail`.
"""

import atexit
import json
import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import acl_double

simulation = acl_double.Simulation(**json.loads(os.environ.get('ACL_DOUBLE_MACHINE', '{}')))
for fault in json.loads(os.environ.get('ACL_DOUBLE_FAULTS', '[]')):
    simulation.fail(*fault)
# This runs after everything that the program registers for acl, because it is registered before.
atexit.register(acl_double.write_report, simulation, os.environ['ACL_DOUBLE_REPORT'])
sys.modules['acl'] = simulation.module
