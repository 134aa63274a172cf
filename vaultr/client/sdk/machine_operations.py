"""Machine operations of the SDK: list, add, change, replace the token, delete."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID, uuid4

from vaultr.client.crypto.keys import seal_machine_kek
from vaultr.client.crypto.machine_keys import MachineKeys, MachineToken, wrap_for_machine
from vaultr.client.errors import AnswerInvalid, Conflict, NotFound, PreconditionFailed, VaultrError
from vaultr.client.log.pages import check_wraps
from vaultr.client.sdk.device_session import DeviceSession
from vaultr.client.sdk.unlocked_vaults import UnlockedVaults
from vaultr.client.strict_json import Json
from vaultr.client.transport.http_transport import Answer
from vaultr.client.transport.responses import fields_of
from vaultr.client.vaults.machine_list import Machine, Rights, ask_machines
from vaultr.client.vaults.name_matching import as_id, meant, near, which
from vaultr.protocol.encoding import b64

_TRIES: Final = 5
T = TypeVar("T")


class NoSuchMachine(VaultrError):
    """The account has no machine with this id or name."""

    advice = "To list the machines: vaultr machines list"


class MachineOperations:
    """Manages the machines of one account; every change requires a step-up."""

    def __init__(self, device: DeviceSession) -> None:
        self._device = device

    def machines(self) -> list[Machine]:
        """List the machines by name."""
        listed = ask_machines(self._device.require_unlocked().account.session)
        return sorted(listed, key=lambda each: (each.name.casefold(), each.id))

    def machine(self, ref: str) -> Machine:
        """Return one machine, by its id or unique name.

        :raises NoSuchMachine: none matches.
        :raises Ambiguous: several machines have this name.
        """
        listed = self.machines()
        wanted = as_id(ref)
        if wanted is not None:
            found = [each for each in listed if each.id == wanted]
        else:
            found = meant(ref, ((each.name, each) for each in listed), exactly=True)
        if not found:
            similar = near(ref, (each.name for each in listed))
            raise NoSuchMachine(f"There is no such machine.{similar}")
        if len(found) > 1:
            rows = [(str(each.id), each.name) for each in found]
            raise which("Several machines match", rows, advice="name one by its id")
        return found[0]

    def add_machine(
        self,
        name: str,
        vaults: Mapping[str, Rights],
        *,
        expires_at: datetime,
        networks: Sequence[str] = (),
    ) -> tuple[Machine, str]:
        """Create a machine that can open these vaults, named by id or name.

        :return: the machine, and its token, which is not stored anywhere.
        :raises StepUpRequired: call :meth:`step_up` first; nothing was created.
        """
        token = MachineToken.new()
        # After a lost response, the server returns the first response again.
        key = {"Idempotency-Key": str(uuid4())}

        def attempt(unlocked: UnlockedVaults) -> Machine:
            rights = self._by_id(unlocked, vaults)
            body = self._body(unlocked, token.machine_id, token.kek, rights)
            body |= _settings(name, expires_at, networks) | _new_token(unlocked, token)
            answer = unlocked.account.session.send(
                "POST", "/machines", {"id": str(token.machine_id), **body}, headers=key, again=True
            )
            return _checked(answer, token.machine_id, rights)

        return self._retried(attempt, Conflict), token.text

    def edit_machine(
        self,
        ref: str,
        *,
        name: str | None = None,
        vaults: Mapping[str, Rights] | None = None,
        expires_at: datetime | None = None,
        networks: Sequence[str] | None = None,
    ) -> Machine:
        """Change a machine; None leaves a setting unchanged. Its token stays valid.

        All its wraps are renewed, so that they contain the newest revision and head of each vault.
        """

        first = self.machine(ref)
        known = [first]

        def attempt(unlocked: UnlockedVaults) -> Machine:
            # By id, because the first attempt may have changed the name.
            before = known.pop() if known else self.machine(str(first.id))
            rights = before.vaults if vaults is None else self._by_id(unlocked, vaults)
            kek = before.kek(unlocked.account)
            changed = _settings(
                before.name if name is None else name,
                expires_at or before.expires_at,
                before.networks if networks is None else networks,
            )
            return self._put(unlocked, before, rights, kek, changed)

        return self._retried(attempt, Conflict, PreconditionFailed)

    def renew_machine_token(self, ref: str) -> tuple[Machine, str]:
        """Replace a machine's token; the old one stops working immediately.

        :return: the machine, and its new token.
        """
        tokens: dict[UUID, MachineToken] = {}

        def attempt(unlocked: UnlockedVaults) -> Machine:
            before = self.machine(ref)
            # The same token in all attempts, because the response to the first may have been lost.
            token = tokens.setdefault(before.id, MachineToken.new(before.id))
            changed = _settings(before.name, before.expires_at, before.networks)
            changed |= _new_token(unlocked, token)
            return self._put(unlocked, before, before.vaults, token.kek, changed)

        machine = self._retried(attempt, Conflict, PreconditionFailed)
        return machine, tokens[machine.id].text

    def remove_machine(self, ref: str) -> Machine:
        """Delete a machine, and return its last state.

        It may have stored what it could read, so rotate the keys of its vaults next.
        """
        machine = self.machine(ref)
        session = self._device.require_unlocked().account.session
        with contextlib.suppress(NotFound):  # another device deleted it, or a response was lost
            session.send("DELETE", f"/machines/{machine.id}", again=True)
        return machine

    def _retried(self, attempt: Callable[[UnlockedVaults], T], *retried: type[VaultrError]) -> T:
        """Bring the vaults up to date and call ``attempt``, again if others wrote in between."""
        unlocked = self._device.require_unlocked()
        for left in range(_TRIES - 1, -1, -1):
            unlocked.prepare(offline=False)
            try:
                return attempt(unlocked)
            except retried as error:
                # Its subclasses, such as an exceeded quota, do not resolve themselves.
                if not left or type(error) not in retried:
                    raise
        raise AssertionError("the last try returns or raises")

    @staticmethod
    def _by_id(unlocked: UnlockedVaults, vaults: Mapping[str, Rights]) -> dict[UUID, Rights]:
        return {unlocked.reader.vault(ref).id: rights for ref, rights in vaults.items()}

    @staticmethod
    def _body(
        unlocked: UnlockedVaults, machine_id: UUID, kek: bytes, vaults: Mapping[UUID, Rights]
    ) -> Json:
        """Return the vaults with wraps of all generations, at the newest verified head."""
        listed = []
        for vault_id, rights in vaults.items():
            vault = unlocked.reader.vault(vault_id)
            state, keys = vault.state, unlocked.reader.keys(vault)
            check_wraps(keys, state.generation, vault_id)
            wraps = [
                {"generation": generation, "sealed_key": b64(sealed)}
                for generation in sorted(keys)
                for sealed in [
                    wrap_for_machine(
                        kek,
                        machine_id,
                        vault_id,
                        generation,
                        MachineKeys(keys[generation], state.n, state.head),
                    )
                ]
            ]
            listed.append({"vault_id": str(vault_id), "rights": rights, "keys": wraps})
        return {"vaults": listed}

    def _put(
        self,
        unlocked: UnlockedVaults,
        before: Machine,
        rights: Mapping[UUID, Rights],
        kek: bytes,
        settings: Json,
    ) -> Machine:
        body = self._body(unlocked, before.id, kek, rights) | settings
        match = {"If-Match": f'"{before.revision}"'}
        path = f"/machines/{before.id}"
        answer = unlocked.account.session.send("PUT", path, body, headers=match, again=True)
        return _checked(answer, before.id, rights)


def _settings(name: str, expires_at: datetime, networks: Sequence[str]) -> Json:
    expires = expires_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"name": name, "expires_at": expires, "networks": list(networks)}


def _new_token(unlocked: UnlockedVaults, token: MachineToken) -> Json:
    account = unlocked.account
    sealed = seal_machine_kek(account.wrap_key, account.account_id, token.machine_id, token.kek)
    return {"auth_key": b64(token.auth_key), "sealed_kek": b64(sealed)}


def _checked(answer: Answer, machine_id: UUID, rights: Mapping[UUID, Rights]) -> Machine:
    """Read the stored machine, and check that it equals the one that was sent."""
    machine = Machine.read(fields_of(answer, "machine"))
    if machine.id != machine_id or machine.vaults != rights:
        raise AnswerInvalid("the server stored another machine than was sent")
    return machine
