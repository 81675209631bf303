"""The double as tests use it."""

import json
import os
from collections import Counter

from acl_double.model_calls import ModelCalls


class Simulation(ModelCalls):
    """The pyACL of one process and the devices it uses.

    The arguments are those of `RuntimeCalls`.

    Attributes:
        module: what `import acl` gives.
        calls: the names of all functions called, in order.
        violations: the breaches of the contract, as sentences.
        last_input: the bytes of the last input of a run.
    """

    def fail(self, where, code, nth=1):
        """Make a call fail.

        Args:
            where: the name of a function, or the number of a call in `calls`. 'execution' is the
                run on the device, which fails when it is waited for. A function that releases
                something does so although it fails.
            code: the code that it fails with.
            nth: which call of the function fails, counted from now.
        """
        if isinstance(where, int):
            self._faults[where] = code
        else:
            self._named_faults.append([where, nth, code])

    def report(self):
        """The ledger, the violations and the number of calls of each function."""
        return {
            'ledger': self.ledger,
            'violations': self.violations,
            'calls': Counter(self.calls),
        }


def write_report(simulation, file):
    """Write the report to a JSON file, for a test in another process."""
    temporary = f'{file}.part'
    with open(temporary, 'w') as text:
        json.dump(simulation.report(), text)
    os.replace(temporary, file)
