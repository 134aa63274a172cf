"""The security headers of every response."""

from flask import Flask, Response, request

from vaultr import request_context
from vaultr.api import cors, flask_tuning
from vaultr.extensions import talisman
from vaultr.settings.model import Settings

HSTS_SECONDS = 31_536_000
HSTS = f"max-age={HSTS_SECONDS}; includeSubDomains"
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-ancestors 'none'; "
    "base-uri 'self'; form-action 'self'; object-src 'none'"
)
API_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": API_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), camera=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Headers whose values differ between responses.
VARYING_HEADERS = frozenset({"Cache-Control", "Content-Security-Policy", "Referrer-Policy"})


def init_app(app: Flask, _settings: Settings) -> None:
    """Add the security headers to every response."""
    app.after_request(_add_headers)
    talisman.init_app(
        app,
        # Talisman would redirect HTTP to HTTPS, although the secret was already sent unencrypted
        force_https=False,
        strict_transport_security=True,
        strict_transport_security_max_age=HSTS_SECONDS,
        strict_transport_security_include_subdomains=True,
        frame_options="DENY",
        x_xss_protection=True,
        x_content_type_options=True,
        content_security_policy=API_POLICY,
        referrer_policy="strict-origin-when-cross-origin",
        permissions_policy={"geolocation": "()", "microphone": "()", "camera": "()"},
        session_cookie_samesite="Strict",
    )
    constant = flask_tuning.take_talisman_headers(app)
    for name in ("Strict-Transport-Security", *VARYING_HEADERS):
        constant.pop(name, None)
    for name in ("Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy"):
        constant[name] = API_HEADERS[name]
    app.wsgi_app = flask_tuning.ConstantHeaders(  # type: ignore[method-assign]  # Flask's documented way
        app.wsgi_app, list(constant.items())
    )


def _add_headers(response: Response) -> Response:
    headers = response.headers
    page = response.mimetype == "text/html"
    headers.setdefault("Cache-Control", API_HEADERS["Cache-Control"])
    headers["Content-Security-Policy"] = PAGE_POLICY if page else API_POLICY
    headers["Referrer-Policy"] = "no-referrer" if page else API_HEADERS["Referrer-Policy"]
    headers["X-Request-Id"] = request_context.current_origin().request_id
    if request.is_secure:
        headers["Strict-Transport-Security"] = HSTS
    cors.add_headers(response)
    return response
