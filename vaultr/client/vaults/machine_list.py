"""The machines of an account as listed by the server, and the wraps that they open."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from vaultr.client.crypto.keys import VaultKeys, open_machine_kek
from vaultr.client.crypto.machine_keys import MachineKeys, wrap_for_machine
from vaultr.client.errors import AnswerInvalid, NotFound
from vaultr.client.log.entries import Waypoint
from vaultr.client.strict_json import Fields, Json
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vault_list import Sender, ask_pages
from vaultr.protocol.encoding import b64

Rights = Literal["read", "write"]
READ: Final[Rights] = "read"
WRITE: Final[Rights] = "write"


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine: its vaults and rights, its expiry and its networks.

    :ivar networks: the CIDR blocks from which it may send; empty for any address.
    :ivar last_used_at: truncated to the hour; None if it was never used.
    """

    id: UUID
    name: str
    revision: int
    created_at: datetime
    expires_at: datetime
    networks: tuple[str, ...]
    last_used_at: datetime | None
    vaults: Mapping[UUID, Rights]
    sealed_kek: bytes = field(repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "Machine":
        """Read it from the server's JSON."""
        used = fields.raw().get("last_used_at")
        return cls(
            id=fields.uuid("id"),
            name=fields.text("name", most=64),
            revision=fields.count("revision", least=1),
            created_at=fields.time("created_at"),
            expires_at=fields.time("expires_at"),
            networks=_networks(fields),
            last_used_at=None if used is None else fields.time("last_used_at"),
            vaults={each.uuid("vault_id"): _rights(each) for each in fields.objects("vaults")},
            sealed_kek=fields.binary("sealed_kek"),
        )

    def kek(self, account: UnlockedAccount) -> bytes:
        """Open the key that the machine's wraps are sealed under.

        :raises SealBroken: the server shows the key of another machine or account.
        """
        return open_machine_kek(account.wrap_key, account.account_id, self.id, self.sealed_kek)


def _networks(fields: Fields) -> tuple[str, ...]:
    listed = fields.raw().get("networks") or []
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise AnswerInvalid("machine.networks is not a list of networks")
    return tuple(listed)


def _rights(fields: Fields) -> Rights:
    return WRITE if fields.choice("rights", READ, WRITE) == WRITE else READ


def ask_machines(sender: Sender) -> list[Machine]:
    """Return all machines of the account; none if the server does not support them."""
    try:
        listed = [*ask_pages(sender, "/machines", "machines")]
    except NotFound:
        return []
    return [Machine.read(Fields(each, "machine", AnswerInvalid)) for each in listed]


def holders_of(sender: Sender, vault_id: UUID) -> list[Machine]:
    """Return the machines that hold a key of a vault, including expired ones."""
    return [each for each in ask_machines(sender) if vault_id in each.vaults]


@dataclass(frozen=True, slots=True)
class RotationWraps:
    """The wraps of a new generation for machines, which a retry sends again.

    :ivar at: the waypoint in them: the state after the rotation has begun.
    :ivar by_machine: each machine's sealed key when the wrap was created, and the wrap.
    """

    at: Waypoint
    by_machine: Mapping[UUID, tuple[bytes, bytes]] = field(repr=False)

    def for_machines(
        self, account: UnlockedAccount, machines: Iterable[Machine], vault_id: UUID, keys: VaultKeys
    ) -> "RotationWraps":
        """Return wraps for exactly these machines, reusing existing ones."""
        wraps = {}
        for machine in machines:
            kek, sealed = self.by_machine.get(machine.id, (b"", b""))
            if kek != machine.sealed_kek:
                wrapped = MachineKeys(keys, self.at.n, self.at.head)
                key, generation = machine.kek(account), self.at.generation
                sealed = wrap_for_machine(key, machine.id, vault_id, generation, wrapped)
            wraps[machine.id] = (machine.sealed_kek, sealed)
        return RotationWraps(self.at, wraps)

    def body(self) -> list[Json]:
        """Return the member of the request."""
        return [
            {"id": str(each), "sealed_key": b64(sealed)}
            for each, (_, sealed) in self.by_machine.items()
        ]

    def to_json(self) -> Json:
        """Return it with plain types."""
        wraps = {str(each): [b64(kek), b64(wrap)] for each, (kek, wrap) in self.by_machine.items()}
        return {"n": self.at.n, "head": b64(self.at.head), "wraps": wraps}

    @classmethod
    def read(cls, value: Json | None, at: Waypoint) -> "RotationWraps":
        """Read the result of :meth:`to_json`; return no wraps if it is for another waypoint."""
        if value is None:
            return cls(at, {})
        fields = Fields(value, "machine_wraps", AnswerInvalid)
        if (fields.count("n"), fields.binary("head")) != (at.n, at.head):
            return cls(at, {})
        wraps = {}
        for machine_id, pair in fields.within("wraps").raw().items():
            each = Fields(dict(zip(("kek", "wrap"), pair, strict=True)), "wrap", AnswerInvalid)
            wraps[UUID(machine_id)] = each.binary("kek"), each.binary("wrap")
        return cls(at, wraps)
