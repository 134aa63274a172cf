# One image for everything: the server, `flask worker`, `flask db upgrade` and all other commands.
# docker build --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse --short HEAD)" .

FROM python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285 AS packages

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN ["python", "-m", "venv", "/opt/vaultr"]
COPY requirements.txt ./
# Install wheels only, each with its locked hash; nothing is compiled.
RUN ["/opt/vaultr/bin/python", "-m", "pip", "install", \
     "--require-hashes", "--only-binary", ":all:", "--requirement", "requirements.txt"]
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY vaultr ./vaultr
# The build tools are not part of the image.
RUN /opt/vaultr/bin/python -m pip install --no-deps --no-build-isolation . \
    && /opt/vaultr/bin/python -m pip uninstall --yes setuptools pip \
    && /opt/vaultr/bin/python -m compileall -q /opt/vaultr/lib


FROM python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285

ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Vaultr" \
      org.opencontainers.image.description="Zero-knowledge vault for passwords, API keys and environment variables" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# pg_dump, pg_restore and psql, for `flask backup`; not through Debian's wrapper, which needs Perl.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends "postgresql-client-17=17.*" \
    && rm -rf /var/lib/apt/lists/*

ENV PATH=/opt/vaultr/bin:/usr/local/bin:/usr/lib/postgresql/17/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    FLASK_APP=wsgi.py \
    VAULTR_HOME=/tmp/vaultr

# Volumes mounted here belong to the user: the sequencer's last checkpoint, and backups.
RUN ["install", "-d", "-o", "10001", "-g", "10001", "-m", "0700", "/var/lib/vaultr", "/backups"]
# The code belongs to root: an attacker who breaks into the server cannot change it.
COPY --from=packages /opt/vaultr /opt/vaultr
WORKDIR /app
COPY wsgi.py ./
COPY config/gunicorn.py ./config/gunicorn.py
COPY migrations ./migrations
COPY deploy/postgres/roles.sql ./deploy/postgres/roles.sql

USER 10001:10001
EXPOSE 3000 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "vaultr.healthcheck"]
CMD ["gunicorn", "-c", "config/gunicorn.py", "wsgi:app"]
