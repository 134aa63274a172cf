"""What a vault refuses."""

from vaultr import errors


class VaultNotFound(errors.NotFound):
    """There is no such vault, or it is not yours."""

    slug = "vault-not-found"


class ItemNotFound(errors.NotFound):
    """There is no such item in this vault."""

    slug = "item-not-found"


class VaultExists(errors.Conflict):
    """A vault of that id exists already."""

    slug = "vault-exists"


class InTrash(errors.Conflict):
    """The item is in the trash; restore it first."""

    slug = "in-trash"


class ItemConflict(errors.Conflict):
    """The item is not in the state that this change is about."""

    slug = "conflict"


class HeadMoved(errors.Conflict):
    """The log has moved on since this entry was made: sync, rebase and send it again."""

    slug = "head-moved"


class GenerationMoved(errors.Conflict):
    """The vault has newer keys: seal under the newest generation."""

    slug = "generation-moved"


class RotationIncomplete(errors.Conflict):
    """Active items or the vault's overview are still under older keys: move them first."""

    slug = "rotation-incomplete"


class QuotaExceeded(errors.Conflict):
    """There is no room left."""

    slug = "quota-exceeded"


class ItemTooLarge(errors.TooLarge):
    """The item is larger than an item may be."""

    slug = "item-too-large"


class RevisionMoved(errors.PreconditionFailed):
    """The item has another revision than the request expects."""

    slug = "precondition-failed"
