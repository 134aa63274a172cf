"""The Flask extensions, unbound; the package that owns an extension binds it to the app."""

from flask_jwt_extended import JWTManager
from flask_limiter import Limiter
from flask_mail import Mail
from flask_migrate import Migrate
from flask_talisman import Talisman

from vaultr import request_context


def _address() -> str:
    # Never return an empty key, which skips the limit, and never raise, which would count as a
    # storage failure.
    return request_context.current_origin().address


jwt = JWTManager()
limiter = Limiter(_address, strategy="sliding-window-counter", headers_enabled=False)
mail = Mail()
migrate = Migrate(render_as_batch=True, compare_type=True)
talisman = Talisman()
