"""Accounts and sessions. Import from here, not from the modules behind it."""

from vaultr.auth.account_deletion import delete_account  # delete the account of the actor
from vaultr.auth.account_deletion import init_app as init_account_deletion  # set its deleters
from vaultr.auth.credential_change import change as change_credentials  # new password or key
from vaultr.auth.email_change import ask as request_email_change  # email both addresses
from vaultr.auth.email_change import confirm as confirm_email_change  # by an emailed token
from vaultr.auth.email_change import undo as undo_email_change  # by an emailed token
from vaultr.auth.key_rewrap import init_app as init_key_rewrap  # set the holders of key wraps
from vaultr.auth.key_usage import (
    access_tokens_by_key,  # live access tokens by JWT_SECRET
    verifiers_by_key,  # stored verifiers by PEPPER
)
from vaultr.auth.login import (
    derivation_inputs,  # what a client derives its keys from
    step_up,  # check the password again for a sensitive action
)
from vaultr.auth.login import login as log_in  # check a password and start a session
from vaultr.auth.password_hashing import init_app as init_password_hashing  # start the hash queue
from vaultr.auth.profile import me as read_account  # the account with its key set
from vaultr.auth.profile import write_profile  # replace the sealed profile
from vaultr.auth.purge import CHORES as PURGES  # expired rows that the worker deletes
from vaultr.auth.recovery.flow import complete as complete_recovery  # set new credentials
from vaultr.auth.recovery.flow import start as start_recovery  # start or query the wait of 24 hours
from vaultr.auth.recovery.tokens import ask as request_recovery  # email a recovery token
from vaultr.auth.recovery.tokens import cancel as cancel_recovery  # by a session
from vaultr.auth.recovery.tokens import cancel_by_token as cancel_recovery_by_token  # by an email
from vaultr.auth.recovery_key import put as put_recovery_key  # store or replace it
from vaultr.auth.recovery_key import remove as remove_recovery_key  # delete it
from vaultr.auth.recovery_key import standing as recovery_state  # recovery key and running recovery
from vaultr.auth.second_factor_secrets import count_by_key as factors_by_key  # by FACTOR_KEY
from vaultr.auth.second_factor_secrets import reseal as reseal_factors  # under the first FACTOR_KEY
from vaultr.auth.second_factors import (
    begin_totp,  # create the secret of an authenticator app
    confirm_totp,  # require its codes from now on
    remove_totp,  # remove the app and the recovery codes
)
from vaultr.auth.second_factors import listed as list_factors  # second factors of an account
from vaultr.auth.second_factors import renew_codes as renew_recovery_codes  # replace all ten
from vaultr.auth.session_list import end_all as log_out_all  # end all sessions of the account
from vaultr.auth.session_list import revoke as revoke_session  # end one session of the account
from vaultr.auth.session_list import sessions_of as list_sessions  # live sessions, newest first
from vaultr.auth.sessions import IDLE as SESSION_IDLE  # how long a session lives without a refresh
from vaultr.auth.sessions import end as log_out  # end this session
from vaultr.auth.sessions import refresh as refresh_session  # replace a refresh token
from vaultr.auth.sessions import (
    session_actor,  # who sends a request, by its access token
    session_check,  # the SQL condition of a live session
)
from vaultr.auth.signup import confirm as confirm_signup  # create the account
from vaultr.auth.signup import resend as resend_verification  # email a new token
from vaultr.auth.signup import sign_up  # store a signup until its email is confirmed

__all__ = [
    "PURGES",
    "SESSION_IDLE",
    "access_tokens_by_key",
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
    "list_factors",
    "list_sessions",
    "log_in",
    "log_out",
    "log_out_all",
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
