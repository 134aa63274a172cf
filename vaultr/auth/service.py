"""Accounts and sessions. Import from here, not from the modules behind it."""

from vaultr.auth.account_deletion import delete_account  # delete the account of the actor
from vaultr.auth.account_deletion import init_app as init_account_deletion  # set its deleters
from vaultr.auth.account_lock import lock_own_account  # serialise changes to an account
from vaultr.auth.archive import (
    archive_account,  # account and key set for its archive
    archive_sessions,  # live sessions for its archive
)
from vaultr.auth.credential_change import change_credentials  # new password or key
from vaultr.auth.email_change import (
    confirm_email_change,  # confirm it by an emailed token
    request_email_change,  # email both addresses
    undo_email_change,  # restore the old address by an emailed token
)
from vaultr.auth.key_rewrap import init_app as init_key_rewrap  # set the holders of key wraps
from vaultr.auth.key_usage import (
    access_tokens_by_key,  # live access tokens by JWT_SECRET
    verifiers_by_key,  # stored verifiers by PEPPER
)
from vaultr.auth.login import (
    derivation_inputs,  # the inputs from which a client derives its keys
    log_in,  # check a password and start a session
    step_up,  # check the password again for a sensitive action
)
from vaultr.auth.operator_locks import (
    lock_counter,  # the counter of an operator's lock
    lock_end,  # a time after the end of any lock by failures
    locked_sql,  # whether an operator has locked an account
)
from vaultr.auth.password_hashing import init_app as init_password_hashing  # start the hash queue
from vaultr.auth.profile import (
    owner_address,  # the email address of an account
    read_account,  # the account with its key set
    write_profile,  # replace the sealed profile
)
from vaultr.auth.purge import PURGES  # expired rows that the worker deletes
from vaultr.auth.recovery.flow import (
    complete_recovery,  # set new credentials
    prove_recovery,  # check token and recovery key before a large body is read
    start_recovery,  # start or query the wait of 24 hours
)
from vaultr.auth.recovery.tokens import (
    cancel_recovery,  # end a recovery from a live session
    cancel_recovery_by_token,  # end a recovery by its emailed token
    request_recovery,  # email a recovery token
)
from vaultr.auth.recovery_key import (
    put_recovery_key,  # store or replace the recovery key
    recovery_state,  # state of the recovery key and of a running recovery
    remove_recovery_key,  # delete the recovery key
)
from vaultr.auth.second_factor_secrets import (
    factors_by_key,  # number of second factors by FACTOR_KEY
    reseal_factors,  # reseal all second factors under the first FACTOR_KEY
)
from vaultr.auth.second_factors import (
    begin_totp,  # create the secret of an authenticator app
    confirm_totp,  # require its codes from now on
    list_factors,  # second factors of an account
    remove_totp,  # remove the app and the recovery codes
    renew_recovery_codes,  # replace all ten
)
from vaultr.auth.session_list import (
    list_sessions,  # live sessions, newest first
    log_out_all,  # end all sessions of the account
    revoke_session,  # end one session of the account
)
from vaultr.auth.sessions import (
    SESSION_IDLE,  # how long a session lives without a refresh
    log_out,  # end this session
    refresh_session,  # replace a refresh token
    session_actor,  # who sends a request, by its access token
    session_check,  # the SQL condition of a live session
)
from vaultr.auth.signup import (
    confirm_signup,  # create the account
    is_account_id,  # whether an id belongs or belonged to an account, or to a decoy
    resend_verification,  # email a new token
    sign_up,  # store a signup until its email is confirmed
)

__all__ = [
    "PURGES",
    "SESSION_IDLE",
    "access_tokens_by_key",
    "archive_account",
    "archive_sessions",
    "begin_totp",
    "cancel_recovery",
    "cancel_recovery_by_token",
    "change_credentials",
    "complete_recovery",
    "confirm_email_change",
    "confirm_signup",
    "confirm_totp",
    "delete_account",
    "derivation_inputs",
    "factors_by_key",
    "init_account_deletion",
    "init_key_rewrap",
    "init_password_hashing",
    "is_account_id",
    "list_factors",
    "list_sessions",
    "lock_counter",
    "lock_end",
    "lock_own_account",
    "locked_sql",
    "log_in",
    "log_out",
    "log_out_all",
    "owner_address",
    "prove_recovery",
    "put_recovery_key",
    "read_account",
    "recovery_state",
    "refresh_session",
    "remove_recovery_key",
    "remove_totp",
    "renew_recovery_codes",
    "request_email_change",
    "request_recovery",
    "reseal_factors",
    "resend_verification",
    "revoke_session",
    "session_actor",
    "session_check",
    "sign_up",
    "start_recovery",
    "step_up",
    "undo_email_change",
    "verifiers_by_key",
    "write_profile",
]
