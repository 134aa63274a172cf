"""Errors of vaults and items. Each docstring is the detail that a client receives."""

from vaultr import errors


class VaultNotFound(errors.NotFound):
    """No vault with this id exists, or you have no access to it."""

    slug = "vault-not-found"


class ItemNotFound(errors.NotFound):
    """No item with this id exists in the vault."""

    slug = "item-not-found"


class VaultExists(errors.Conflict):
    """A vault with this id already exists. Choose a new random id."""

    slug = "vault-exists"


class InTrash(errors.Conflict):
    """The item is in the trash. Restore it, then send the change again."""

    slug = "in-trash"


class ItemConflict(errors.Conflict):
    """The item's current state does not allow this change. Read the item again."""

    slug = "conflict"


class HeadMoved(errors.Conflict):
    """Another write came first. Sync, prepare the entry on the new head, and send it again."""

    slug = "head-moved"


class GenerationMoved(errors.Conflict):
    """The vault has newer keys. Sync, seal under the newest generation, and send again."""

    slug = "generation-moved"


class RotationIncomplete(errors.Conflict):
    """Active items or the vault's overview are still sealed under older keys. Reseal them first."""

    slug = "rotation-incomplete"


class QuotaExceeded(errors.Conflict):
    """The quota is exhausted. Remove items, or ask the operator for a higher quota."""

    slug = "quota-exceeded"


class ItemTooLarge(errors.TooLarge):
    """The item exceeds the size limit. Send a smaller item."""

    slug = "item-too-large"


class RevisionMoved(errors.PreconditionFailed):
    """The item has a different revision than `If-Match` states. Read it again, then retry."""

    slug = "precondition-failed"
