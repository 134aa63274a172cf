"""Errors of backup commands. Each says what happened and what to do next."""

from vaultr.errors import Conflict


class BackupError(Conflict):
    """The backup command cannot continue."""


class NotConfigured(BackupError):
    """A setting or program that this command needs is missing."""


class InvalidBackup(BackupError):
    """This file is not a complete backup that you can open."""


class LocationFailed(BackupError):
    """The location of the backups cannot be used."""


class ProgramFailed(BackupError):
    """A database program failed."""


class TargetUnusable(BackupError):
    """The target database cannot take this backup."""


class KeysMissing(BackupError):
    """This server lacks keys that the data of the backup needs."""


class SchemaTooNew(BackupError):
    """The backup's schema is newer than this version of Vaultr."""


class VerificationFailed(BackupError):
    """The restored data differs from what was backed up."""
