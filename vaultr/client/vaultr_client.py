"""The public SDK: one :class:`Vaultr` for one account on one device, used by one thread.

    with Vaultr("https://vault.example") as vaultr:
        vaultr.unlock(password)
        print(vaultr.item("Mail").overview["username"])

Only the names in ``__all__`` are public; ``errors`` has the errors that have their own class.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from vaultr.client import errors
from vaultr.client.account.credentials import NotSignedIn, SecretKeyNeeded, WrongPassword
from vaultr.client.account.emergency_kit import Kit, read_kit
from vaultr.client.account.password_change import PasswordChanged
from vaultr.client.account.password_policy import WeakPassword
from vaultr.client.account.recovery import Cancelled, Recovery
from vaultr.client.account.sessions_and_factors import FactorInfo, SessionInfo, TotpBegun
from vaultr.client.account.signup import Signup
from vaultr.client.crypto.recovery_key import RecoveryKey
from vaultr.client.errors import MachineCannot
from vaultr.client.items.duplicates import Presence
from vaultr.client.items.history import NoSuchVersion, Version
from vaultr.client.items.import_runs import (
    ImportExceedsQuota,
    ImportInterrupted,
    ImportRun,
    Match,
)
from vaultr.client.items.references import Reference, Resolver
from vaultr.client.items.schemas import Draft
from vaultr.client.reconciliation.accept import Accepted, NotShown
from vaultr.client.reconciliation.explain import Difference
from vaultr.client.sdk.account_operations import AccountOperations
from vaultr.client.sdk.device_session import DeviceSession
from vaultr.client.sdk.device_status import DeviceStatus, device_status, record_kit
from vaultr.client.sdk.import_operations import ImportOperations, ImportReport
from vaultr.client.sdk.item_operations import ItemOperations
from vaultr.client.sdk.machine_operations import MachineOperations, NoSuchMachine
from vaultr.client.sdk.machine_session import MachineSession
from vaultr.client.sdk.session_end import explained
from vaultr.client.sdk.vault_operations import VaultOperations
from vaultr.client.vaults.key_rotation import Rotated
from vaultr.client.vaults.machine_list import Machine
from vaultr.client.vaults.name_matching import Ambiguous
from vaultr.client.vaults.reader import Item, VaultInfo
from vaultr.client.vaults.vaults import SyncReport
from vaultr.client.vaults.write_intents import EditConflict

if TYPE_CHECKING:
    import httpx2

    from vaultr.client.sdk.audit_operations import AuditOperations

__all__ = [
    "Accepted",
    "Ambiguous",
    "Cancelled",
    "DeviceStatus",
    "Difference",
    "Draft",
    "EditConflict",
    "FactorInfo",
    "ImportExceedsQuota",
    "ImportInterrupted",
    "ImportReport",
    "ImportRun",
    "Item",
    "Kit",
    "Machine",
    "MachineCannot",
    "Match",
    "NoSuchMachine",
    "NoSuchVersion",
    "NotShown",
    "NotSignedIn",
    "PasswordChanged",
    "Presence",
    "Recovery",
    "RecoveryKey",
    "Reference",
    "Resolver",
    "Rotated",
    "SecretKeyNeeded",
    "SessionInfo",
    "Signup",
    "SyncReport",
    "TotpBegun",
    "VaultInfo",
    "Vaultr",
    "Version",
    "WeakPassword",
    "WrongPassword",
    "errors",
    "read_kit",
]


class Vaultr:
    """An account's vaults, as one device sees them.

    Its methods are those of the objects in :mod:`vaultr.client.sdk`, listed below by topic. Their
    documentation is there; ``help(Vaultr().add)`` shows it too.

    :param url: the server; by default the one that this device belongs to.
    :param home: the client's folder; by default ``VAULTR_DIR``, else the platform's.
    :param transport: sends the requests, such as ``httpx2.WSGITransport`` in a test.
    :param ca_file: certificate authorities to trust instead of the system's; by default the last
        ones passed to a command.
    :param agent: whether keys may be read from and passed to the agent.
    :param offline: never send anything to the server.
    :param waiting: called with the server's address if a response takes more than 2 seconds.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        home: Path | None = None,
        transport: "httpx2.BaseTransport | None" = None,
        ca_file: Path | None = None,
        agent: bool = True,
        offline: bool = False,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        self.device = DeviceSession(
            url,
            home=home,
            transport=transport,
            ca_file=ca_file,
            agent=agent,
            offline=offline,
            waiting=waiting,
        )
        self.machine_session: MachineSession | None = None
        self._account = AccountOperations(self.device)
        self._add_device_methods(self.device, self._account)
        self._items = ItemOperations(self.device)
        self._add_item_methods(self._items)
        self._add_vault_methods(VaultOperations(self.device))
        self._add_account_methods(self._account)
        self._is_complete = False

    def _add_rare_methods(self) -> None:
        """Add methods that few programs use; `__getattr__` calls this when one is first used."""
        # They load the verification of the audit log, which no other command needs.
        from vaultr.client.sdk.audit_operations import AuditOperations  # noqa: PLC0415 - late, see above
        from vaultr.client.sdk.breach_ranges import BreachRanges  # noqa: PLC0415 - late, see above

        self._is_complete = True
        self._add_import_methods(ImportOperations(self.device, self._items))
        self._add_audit_methods(AuditOperations(self.device))
        self._add_machine_methods(MachineOperations(self.device))
        self.breach_count = BreachRanges(self.device).breach_count

    def __dir__(self) -> list[str]:
        """List all methods, including those that were not used yet."""
        if self.machine_session is None and not self._is_complete:
            self._add_rare_methods()
        return list(super().__dir__())

    @classmethod
    def for_machine(
        cls,
        url: str | None,
        token: str,
        *,
        home: Path | None = None,
        transport: "httpx2.BaseTransport | None" = None,
        ca_file: Path | None = None,
        offline: bool = False,
        waiting: Callable[[str], None] | None = None,
    ) -> "Vaultr":
        """Return the vaults that a machine opens with its token, without a login.

        It reads items, and writes them where the machine has that right. Everything else raises
        :class:`MachineCannot`. The other parameters are those of the class.

        :param token: the token that begins with ``vmt_``; it is never sent.
        :param home: where the machine stores its sealed copies; by default ``VAULTR_DIR``, or
            memory if that is not set.
        """
        machine = MachineSession(
            url,
            token,
            home=home,
            transport=transport,
            ca_file=ca_file,
            offline=offline,
            waiting=waiting,
        )
        self = cls.__new__(cls)
        self.machine_session = machine
        items = ItemOperations(machine)
        self._add_item_methods(items)
        self._add_import_methods(ImportOperations(machine, items))
        self.vaults, self.sync, self.close = machine.vaults, machine.sync, machine.close
        return self

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Add an account's methods when they are first used; a machine has none of them."""
            if name.startswith("_"):
                raise AttributeError(name)
            if self.machine_session is not None:
                raise MachineCannot(str(MachineCannot.__doc__))
            if self._is_complete:
                raise AttributeError(f"Vaultr has no method {name}.")
            self._add_rare_methods()
            return getattr(self, name)

    def _add_device_methods(self, device: DeviceSession, account: AccountOperations) -> None:
        self.signup = device.signup
        self.verify = device.verify
        self.resend = account.resend
        self.login = device.login
        self.unlock = device.unlock
        self.keep = device.keep
        self.remember_ca_file = device.remember_ca_file
        self.lock = device.lock
        self.logout = device.logout
        self.forget_elsewhere = device.forget_elsewhere
        self.close = device.close
        self.check_server = account.check_server
        self.reach_server = account.reach_server
        self.check_signup = account.check_signup
        self.check_session = account.check_session

    def _add_item_methods(self, items: ItemOperations) -> None:
        self.items = items.items
        self.each_item = items.each_item
        self.each_revealed = items.each_revealed
        self.item = items.item
        self.read = items.read
        self.resolver = items.resolver
        self.add = items.add
        self.add_many = items.add_many
        self.presence = items.presence
        self.edit = items.edit
        self.trash = items.trash
        self.trash_many = items.trash_many
        self.restore = items.restore
        self.restore_many = items.restore_many
        self.bring_back = items.bring_back
        self.remove = items.remove
        self.remove_many = items.remove_many

    def _add_import_methods(self, imports: ImportOperations) -> None:
        self.import_drafts = imports.import_drafts
        self.import_runs = imports.import_runs
        self.undo_import = imports.undo_import

    def _add_vault_methods(self, vaults: VaultOperations) -> None:
        self.vaults = vaults.vaults
        self.create_vault = vaults.create_vault
        self.rename_vault = vaults.rename_vault
        self.delete_vault = vaults.delete_vault
        self.sync = vaults.sync
        self.rotate = vaults.rotate
        self.history = vaults.history
        self.version = vaults.version
        self.move = vaults.move
        self.copy = vaults.copy
        self.resume_move = vaults.resume_move
        self.download_archive = vaults.download_archive
        self.explain = vaults.explain
        self.was_listed = vaults.was_listed
        self.accept = vaults.accept
        self.accept_on = vaults.accept_on

    def _add_machine_methods(self, machines: MachineOperations) -> None:
        self.machines = machines.machines
        self.machine = machines.machine
        self.add_machine = machines.add_machine
        self.edit_machine = machines.edit_machine
        self.renew_machine_token = machines.renew_machine_token
        self.remove_machine = machines.remove_machine

    def _add_audit_methods(self, audit: "AuditOperations") -> None:
        self.audit_events = audit.audit_events
        self.verify_audit = audit.verify_audit
        self.export_audit = audit.export_audit
        self.verify_bundle = audit.verify_bundle
        self.accept_audit_key = audit.accept_audit_key

    def _add_account_methods(self, account: AccountOperations) -> None:
        self.step_up = account.step_up
        self.change_password = account.change_password
        self.raise_kdf_cost = account.raise_kdf_cost
        self.kit = account.kit
        self.sessions = account.sessions
        self.revoke_session = account.revoke_session
        self.logout_all = account.logout_all
        self.factors = account.factors
        self.begin_totp = account.begin_totp
        self.confirm_totp = account.confirm_totp
        self.remove_totp = account.remove_totp
        self.renew_recovery_codes = account.renew_recovery_codes
        self.create_recovery_key = account.create_recovery_key
        self.remove_recovery_key = account.remove_recovery_key
        self.ask_recovery = account.ask_recovery
        self.start_recovery = account.start_recovery
        self.complete_recovery = account.complete_recovery
        self.check_recovery = account.check_recovery
        self.cancel_recovery = account.cancel_recovery
        self.change_email = account.change_email
        self.confirm_email = account.confirm_email
        self.undo_email = account.undo_email
        self.delete_account = account.delete_account

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        (self.machine_session or self.device).exit(kind, error, trace)

    @property
    def home(self) -> Path:
        """The folder of this device."""
        return self.device.store.folder.path

    @property
    def email(self) -> str | None:
        """The email address of the account; None before signup and login."""
        return self.device.email

    @property
    def unlocked(self) -> bool:
        """Whether the keys are in memory, here or in the agent."""
        machine = self.machine_session
        return (self.device.find_unlocked() if machine is None else machine.unlocked) is not None

    @property
    def may_keep(self) -> bool:
        """Whether an agent may hold keys on this device; see ``VAULTR_AGENT``."""
        return self.device.agent is not None

    @property
    def age(self) -> timedelta | None:
        """The time since the last sync; None if unknown."""
        return (self.machine_session or self.device).age

    @property
    def notices(self) -> list[str]:
        """Messages for the user that are not errors."""
        opened = (self.machine_session or self.device).unlocked
        return opened.notices if opened else []

    def status(self, *, offline: bool = False) -> DeviceStatus:
        """Return the state of this device; contact the server only if it is unlocked.

        :param offline: never contact the server.
        """
        return device_status(self.device, offline=offline)

    def explained(self, error: errors.SessionEnded | WrongPassword) -> errors.VaultrError:
        """Ask the server whether the password was changed elsewhere; return the clearer error."""
        return explained(self.device, error)

    def record_kit(self) -> None:
        """Record that the emergency kit was written, for :meth:`status`."""
        record_kit(self.device)

    @property
    def change_is_pending(self) -> bool:
        """Whether a password change was sent, and its outcome is unknown."""
        return self._account.change_is_pending

    @property
    def begun_recovery(self) -> tuple[str, str] | None:
        """Email address and token of the recovery started in this folder."""
        return self._account.begun_recovery

    @property
    def recovery_ready_at(self) -> datetime | None:
        """When the waiting time of that recovery ends; None before it has started."""
        return self._account.recovery_ready_at

    @property
    def kdf_is_low(self) -> bool:
        """Whether the account's KDF parameters are lower than today's default."""
        return self._account.kdf_is_low
