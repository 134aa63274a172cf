"""Machines. Import from here, not from the modules behind it."""

from vaultr.machines.changes import (
    create_machine,  # with its wraps
    delete_all_of,  # all machines of an account
    delete_machine,  # with its wraps
    init_app,  # set the function that deletes stored responses
    replace_machine,  # with all its wraps, perhaps with a new token
)
from vaultr.machines.expiry import (
    MachineCounts,  # all and expired
    count_machines,  # all and expired
    send_notices,  # emails a week before machines expire
    summaries,  # what an operator sees
)
from vaultr.machines.key_wraps import MachineKeyWraps  # for `rewrap`
from vaultr.machines.listing import archive_machines, list_machines, show_machine, show_self
from vaultr.machines.token_check import (
    MACHINE_ACTORS,  # find the machine that sends a request
    machine_check,  # the SQL condition that a machine is alive
)

__all__ = [
    "MACHINE_ACTORS",
    "MachineCounts",
    "MachineKeyWraps",
    "archive_machines",
    "count_machines",
    "create_machine",
    "delete_all_of",
    "delete_machine",
    "init_app",
    "list_machines",
    "machine_check",
    "replace_machine",
    "send_notices",
    "show_machine",
    "show_self",
    "summaries",
]
