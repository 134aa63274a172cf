"""Vaults and items. Import from here, not from the modules behind it."""

from vaultr.vault.archive import archive_vaults  # all vaults of an account, for its archive
from vaultr.vault.batches import change_items  # write up to 1,000 changes, all or none
from vaultr.vault.change_rules import Change, Quota, content_of  # one write; the limits of a vault
from vaultr.vault.dry_run import dry_run  # report what a batch would do; change nothing
from vaultr.vault.fast_reads import (
    list_items,  # one page of overviews
    read_item,  # one whole item, with its audit event
)
from vaultr.vault.item_writes import write_item  # put, trash, restore or remove one item
from vaultr.vault.key_holders import (
    Grant,  # a machine's access to one vault
    check_generations,  # check that the wraps of a grant open all contents
    check_once,  # check that a list of grants has no duplicates
    delete_grants,  # delete all wraps of a machine
    grant_bytes,  # the size of the wraps of machines
    grants_of,  # the access of machines
    lock_granted,  # lock the vaults of a machine before it is changed
    replace_grants,  # replace all wraps of a machine
)
from vaultr.vault.key_rotation import (
    begin_rotation,  # store new keys of a vault
    finish_rotation,  # end a rotation that is complete
    show_rotation,  # progress of a rotation
)
from vaultr.vault.key_wraps import KeyWraps  # an account's wraps of vault keys, for `rewrap`
from vaultr.vault.log_check import broken_logs  # the vaults whose log is damaged
from vaultr.vault.sync import sync  # the whole vault, or what changed since a revision
from vaultr.vault.vault_deletion import (
    delete_all_of,  # delete all vaults of an account
    delete_vault,  # delete a vault with everything in it
)
from vaultr.vault.vault_writes import (
    rename_vault,  # replace a vault's sealed overview
    repair_vault,  # append an entry that commits to the current contents
)
from vaultr.vault.vaults import create_vault, list_vaults, show_vault
from vaultr.vault.versions import list_versions, read_version  # earlier contents of an item

__all__ = [
    "Change",
    "Grant",
    "KeyWraps",
    "Quota",
    "archive_vaults",
    "begin_rotation",
    "broken_logs",
    "change_items",
    "check_generations",
    "check_once",
    "content_of",
    "create_vault",
    "delete_all_of",
    "delete_grants",
    "delete_vault",
    "dry_run",
    "finish_rotation",
    "grant_bytes",
    "grants_of",
    "list_items",
    "list_vaults",
    "list_versions",
    "lock_granted",
    "read_item",
    "read_version",
    "rename_vault",
    "repair_vault",
    "replace_grants",
    "show_rotation",
    "show_vault",
    "sync",
    "write_item",
]
