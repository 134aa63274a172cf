"""Traces of requests and jobs, exported by OpenTelemetry (the extra `otel`)."""
