"""`import acl` with this folder on PYTHONPATH: the double, for a program in its own process.

When the program ends, what it held and broke goes to the file $ACL_DOUBLE_REPORT, as JSON.
$ACL_DOUBLE_MACHINE may hold arguments of `acl_double.Simulation`, and $ACL_DOUBLE_FAULTS a list of
arguments of its `fail`, both as JSON.
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
# Registered before whatever the program registers for acl, and so done after it.
atexit.register(acl_double.write_report, simulation, os.environ['ACL_DOUBLE_REPORT'])
sys.modules['acl'] = simulation.module
