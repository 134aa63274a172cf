"""Request schemas for changes of an account's keys."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import FailFast, Field

from vaultr.auth.schemas import IdentityIn, KdfIn, SealedProfile
from vaultr.protocol.sizes import WRAPS_MOST
from vaultr.wire import field_types
from vaultr.wire.field_types import Bytes, Bytes32, Id, In, Int, SealedKey


class AccountKeyIn(In):
    """The account key, sealed again; `epoch` is the stored one + 1."""

    epoch: Int
    sealed: SealedKey


class NextProfile(In):
    """The sealed profile; `revision` is the stored one + 1."""

    revision: Int
    sealed: SealedProfile


class VaultWrapIn(In):
    """The keys of one generation of a vault, sealed under the new account key."""

    vault_id: Id
    generation: Int
    sealed_key: SealedKey


class MachineWrapIn(In):
    """A machine's key, sealed under the new account key."""

    id: Id
    sealed_kek: SealedKey


class RewrapIn(In):
    """All wraps under the account key, because the account key is replaced."""

    identity: IdentityIn
    # Report only the first invalid wrap: errors for all of them could take 40 MiB.
    vaults: Annotated[list[VaultWrapIn], FailFast(), Field(max_length=WRAPS_MOST)]
    machines: Annotated[list[MachineWrapIn], FailFast(), Field(max_length=WRAPS_MOST)]

    def sealed(self) -> dict[str, bytes]:
        """Return all values that must be sealed, by pointer below `/rewrap`."""
        return {
            "/rewrap/identity/x25519/sealed": self.identity.x25519.sealed,
            "/rewrap/identity/ed25519/sealed": self.identity.ed25519.sealed,
            **{f"/rewrap/vaults/{n}/sealed_key": w.sealed_key for n, w in enumerate(self.vaults)},
            **{
                f"/rewrap/machines/{n}/sealed_kek": w.sealed_kek
                for n, w in enumerate(self.machines)
            },
        }


class NewKeys(In):
    """New credentials: auth key, KDF parameters, and the values sealed under them."""

    auth_key: Bytes32
    kdf: KdfIn
    salt: Bytes
    account_key: AccountKeyIn
    profile: NextProfile

    def sealed(self) -> Mapping[str, bytes]:
        """Return all values that must be sealed, by pointer."""
        return {
            "/account_key/sealed": self.account_key.sealed,
            "/profile/sealed": self.profile.sealed,
        }


class CredentialsIn(NewKeys):
    """New credentials; `rewrap` also replaces the account key and deletes the recovery key."""

    rewrap: RewrapIn | None = None

    def sealed(self) -> Mapping[str, bytes]:
        """Return all values that must be sealed, by pointer."""
        return {**super().sealed(), **(self.rewrap.sealed() if self.rewrap else {})}


class RecoveryKeyIn(In):
    """The account key sealed for recovery; `epoch` is the stored epoch, bound by the seal."""

    verifier: Annotated[Bytes32, Field(description="SHA-256 of `rk_auth`.")]
    sealed: SealedKey
    epoch: Int


class RecoveryProofIn(In):
    """The emailed token, and the key that proves the recovery key."""

    token: str
    rk_auth: Bytes32


class RecoveredIn(NewKeys):
    """New credentials under a new account key, with the emailed token and the recovery proof."""

    token: str
    rk_auth: Bytes32
    rewrap: RewrapIn

    def sealed(self) -> Mapping[str, bytes]:
        """Return all values that must be sealed, by pointer."""
        return {**super().sealed(), **self.rewrap.sealed()}


def check_sealed(body: NewKeys) -> None:
    """Check that all values of a body can be sealed values.

    :raises NotSealed: names each value that cannot be sealed.
    """
    field_types.check_sealed(body.sealed())
