"""Let pages of the origins in CORS_ORIGINS use the API."""

from flask import Response, request

from vaultr.settings.model import current_settings

# The methods and headers that a page of a listed origin may send, and the headers it may read.
CORS_HEADERS = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, If-Match, "
    "If-None-Match, X-Request-Id",
    "Access-Control-Expose-Headers": "ETag, Idempotency-Replayed, RateLimit-Limit, "
    "RateLimit-Remaining, RateLimit-Reset, Retry-After, X-Request-Id, X-Vaultr-Checkpoint",
    "Access-Control-Max-Age": "600",
}


def add_headers(response: Response) -> None:
    """Allow the listed origins to use the API with a bearer token, never with cookies."""
    settings = current_settings()
    if not settings.cors_origins:
        return
    response.vary.add("Origin")
    if request.headers.get("Origin") in settings.cors_origins:
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers.update(CORS_HEADERS)
