"""Machines. Import from here, not from the modules behind it."""

from vaultr.machines.changes import (
    create_machine,  # create a machine and its wraps
    delete_all_of,  # delete all machines of an account
    delete_machine,  # delete a machine and its wraps
    init_app,  # set the function that deletes stored responses
    replace_machine,  # replace a machine's settings and wraps, and perhaps its token
)
from vaultr.machines.expiry import (
    MachineCounts,  # how many machines exist, and how many are expired
    count_machines,  # count all and expired machines
    send_notices,  # email owners a week before their machines expire
    summaries,  # an account's machines as an operator sees them
)
from vaultr.machines.key_wraps import MachineKeyWraps  # the keys of machines, for `rewrap`
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
