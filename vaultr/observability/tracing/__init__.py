"""Traces of requests and jobs, told to a collector by OpenTelemetry (the extra `otel`)."""
