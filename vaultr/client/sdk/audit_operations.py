"""Audit operations of the SDK: verify the server's audit log as its user."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from vaultr.client.audit import bundle
from vaultr.client.audit.bundle import Verified
from vaultr.client.audit.errors import AuditInvalid
from vaultr.client.audit.pinned import Pinned
from vaultr.client.audit.verify import AuditReport, LogRestoredWith, Verifier
from vaultr.client.sdk.device_session import DeviceSession
from vaultr.client.sdk.unlocked_vaults import UnlockedVaults
from vaultr.client.vaults.log_prefix_proof import read_log_excerpt


class AuditOperations:
    """Lists, verifies and exports the account's events in the audit log."""

    def __init__(self, device: DeviceSession) -> None:
        self._device = device

    def audit_events(
        self, *, action: str | None = None, since: str | None = None, until: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the account's events, newest first, as listed by the server, without checks.

        :param action: a type or a family of types, such as ``auth``.
        :param since: start (RFC 3339, UTC), inclusive; ``until`` is the end, exclusive.
        """
        session = self._device.require_unlocked().account.session
        chosen = {"action": action, "from": since, "to": until, "limit": "200"}
        query = "&".join(f"{name}={text}" for name, text in chosen.items() if text is not None)
        cursor: str | None = ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            page: Any = session.send("GET", f"/audit/events?{query}{more}").body
            yield from page["events"]
            cursor = page["next_cursor"]

    def verify_audit(self) -> AuditReport:
        """Verify the log after the pinned checkpoint, then pin the newest checkpoint.

        :raises AuditInvalid: a check failed.
        """
        unlocked = self._device.require_unlocked()
        unlocked.refresh()
        account = unlocked.account
        account.refresh_profile()
        pinned = Pinned.from_json(account.profile.document.get("checkpoint"))
        heads = _Heads(unlocked)
        try:
            report = self._verifier(unlocked).verify(pinned, heads)
        except LogRestoredWith as restored:
            self._pin(unlocked, restored.pinned)
            raise
        if report.pinned != pinned:
            self._pin(unlocked, report.pinned)
        return report

    def accept_audit_key(self, fingerprint: str) -> Pinned:
        """Pin a new signing key of the log that the user accepted.

        :raises AuditInvalid: the server's newest checkpoint is not signed by this key.
        """
        unlocked = self._device.require_unlocked()
        account = unlocked.account
        account.refresh_profile()
        pinned = Pinned.from_json(account.profile.document.get("checkpoint"))
        accepted = self._verifier(unlocked).accept_key(pinned, fingerprint)
        self._pin(unlocked, accepted)
        return accepted

    def export_audit(self) -> str:
        """Fetch all events with their proofs as a bundle; `verify_bundle` verifies it offline."""
        return self._verifier(self._device.require_unlocked()).export()

    def verify_bundle(self, lines: Iterable[str]) -> Verified:
        """Verify a bundle offline, with the pinned keys if this device has any.

        :raises AuditInvalid: a line does not verify.
        """
        account = self._device.require_unlocked().account
        pinned = Pinned.from_json(account.profile.document.get("checkpoint"))
        trusted = None if pinned is None else pinned.keys
        verified = bundle.verify(lines, trusted=trusted, account=str(account.account_id))
        if pinned is not None and verified.log != pinned.checkpoint.log:
            raise AuditInvalid("The bundle is of another log.")
        return verified

    def _verifier(self, unlocked: UnlockedVaults) -> Verifier:
        account = unlocked.account
        identity = account.known.key_set.identity
        public = {str(kind): pair[0] for kind, pair in identity.items()}
        return Verifier(account.session, account.account_id, public)

    def _pin(self, unlocked: UnlockedVaults, pinned: Pinned) -> None:
        account = unlocked.account
        wanted = account.profile.with_checkpoint(pinned.to_json())
        account.write_profile(wanted, unlocked.vaults.proven_heads)


class _Heads:
    """The heads of the account's vaults, from their own logs."""

    def __init__(self, unlocked: UnlockedVaults) -> None:
        self._unlocked = unlocked
        self._fresh = False

    def __call__(self, vault_id: UUID, since: int) -> Mapping[int, bytes] | None:
        if not self._fresh:  # fetched after the events, so that no event can be newer
            self._unlocked.refresh()
            self._fresh = True
        found = [each for each in self._unlocked.reader.vaults() if each.id == vault_id]
        if not found:
            return None  # the vault was deleted
        [vault] = found
        if since >= vault.state.n:
            return {vault.state.n: vault.state.head}
        return read_log_excerpt(self._unlocked.vaults.syncer, vault, max(since, 1)).heads
