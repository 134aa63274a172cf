"""deploy/release: its result can be verified offline, and a changed file is detected."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile

import pytest
import yaml

from tests.rollout import tools

VERSION = "9.8.7"


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    folder = tmp_path_factory.mktemp("key")
    environ = {**os.environ, "COSIGN_PASSWORD": "of this test"}
    subprocess.run(
        ["cosign", "generate-key-pair"], cwd=folder, env=environ, check=True, capture_output=True
    )
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory, key):
    """A release of an image with one Debian package instead of the real one."""
    folder = tmp_path_factory.mktemp("release")
    _layout(folder / "image")
    done = _release(key, VERSION, "--image", folder / "image", "--to", folder / "out")
    assert done.returncode == 0, tools.output_of(done)
    return folder / "out"


def _release(key, *arguments, **more):
    environ = {
        **os.environ,
        "COSIGN_PASSWORD": "of this test",
        "COSIGN_KEY": str(key / "cosign.key"),
    }
    command = [tools.ROOT / "deploy" / "release", *arguments]
    return subprocess.run(command, env=environ | more, capture_output=True, text=True)


def _layout(folder):
    package = "Package: netbase\nStatus: install ok installed\nVersion: 6.5\nArchitecture: all\n"
    files = {"etc/os-release": "ID=debian\nVERSION_ID=13\n", "var/lib/dpkg/status": package}
    with io.BytesIO() as out:
        with tarfile.open(fileobj=out, mode="w") as archive:
            for name, text in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        plain = out.getvalue()
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(kind, data):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        kind = f"application/vnd.oci.image.{kind}"
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    diff = f"sha256:{hashlib.sha256(plain).hexdigest()}"
    config = {
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff]},
    }  # fmt: skip
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", json.dumps(config).encode()),
        "layers": [blob("layer.v1.tar+gzip", gzip.compress(plain))],
    }
    top = blob("manifest.v1+json", json.dumps(manifest).encode())
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def _verified(key, path):
    done = tools.run(
        "cosign", "verify-blob", "--key", str(key / "cosign.pub"), "--insecure-ignore-tlog=true",
        "--signature", f"{path}.sig", str(path),
    )  # fmt: skip
    return done.returncode == 0


def test_signed_checksums_cover_every_release_file(built, key):
    assert _verified(key, built / "SHA256SUMS")
    done = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=built)
    assert done.returncode == 0
    listed = {line.split("  ")[1] for line in (built / "SHA256SUMS").read_text().splitlines()}
    assert listed == {
        "vaultr-9.8.7.tgz", "image.spdx.json", "provenance.json",
        "image/index.json", "chart/index.json",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["vaultr-9.8.7.tgz", "image.spdx.json", "provenance.json"])
def test_signature_of_changed_file_is_invalid(built, key, tmp_path, name):
    copy = tmp_path / name
    copy.write_bytes((built / name).read_bytes())
    (tmp_path / f"{name}.sig").write_bytes((built / f"{name}.sig").read_bytes())
    assert _verified(key, copy)

    copy.write_bytes(copy.read_bytes() + b" ")

    assert not _verified(key, copy)


def test_image_and_chart_are_oci_layouts(built):
    for name in ("image", "chart"):
        done = tools.run("skopeo", "inspect", "--raw", f"oci:{built / name}")
        assert done.returncode == 0, tools.output_of(done)
    layer = json.loads(done.stdout)["layers"][0]
    assert layer["mediaType"] == "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
    data = (
        built / "chart" / "blobs" / "sha256" / layer["digest"].removeprefix("sha256:")
    ).read_bytes()
    assert data == (built / "vaultr-9.8.7.tgz").read_bytes()


def test_packaged_chart_has_version_and_image_digest(built):
    shown = yaml.safe_load(
        tools.run("helm", "show", "chart", str(built / "vaultr-9.8.7.tgz")).stdout
    )

    digest = json.loads((built / "image" / "index.json").read_text())["manifests"][0]["digest"]
    assert (shown["version"], shown["appVersion"]) == (VERSION, VERSION)
    assert f"vaultr:9.8.7@{digest}" in shown["annotations"]["artifacthub.io/images"]
    values = str(tools.CHART / "ci" / "default-values.yaml")
    done = tools.run(
        "helm", "lint", "--strict", str(built / "vaultr-9.8.7.tgz"), "--values", values
    )
    assert done.returncode == 0, tools.output_of(done)


def test_sbom_lists_image_packages(built):
    sbom = json.loads((built / "image.spdx.json").read_text())

    assert sbom["spdxVersion"].startswith("SPDX-2.")
    assert {"name": "netbase", "versionInfo": "6.5"}.items() <= next(
        one for one in sbom["packages"] if one["name"] == "netbase"
    ).items()


def test_provenance_names_artifacts_and_their_sources(built):
    statement = json.loads((built / "provenance.json").read_text())

    subjects = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    for name in ("image", "chart"):
        index = json.loads((built / name / "index.json").read_text())
        assert index["manifests"][0]["digest"] == f"sha256:{subjects[name]}"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    definition = statement["predicate"]["buildDefinition"]
    uris = [one["uri"] for one in definition["resolvedDependencies"]]
    assert uris[:2] == ["git+vaultr", "requirements.txt"]
    assert any(uri.startswith("docker://python:3") for uri in uris)
    assert len(definition["externalParameters"]["revision"]) == 40


@pytest.mark.parametrize(
    ("version", "environ", "message"),
    [
        ("latest", {}, "not a version"),
        (VERSION, {"COSIGN_KEY": ""}, "set COSIGN_KEY"),
    ],
)
def test_invalid_release_arguments_build_nothing(key, tmp_path, version, environ, message):
    done = _release(key, version, "--to", tmp_path / "out", **environ)

    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_image_with_changed_manifest_is_rejected(key, tmp_path):
    _layout(tmp_path / "image")
    index = json.loads((tmp_path / "image" / "index.json").read_text())
    digest = index["manifests"][0]["digest"].removeprefix("sha256:")
    (tmp_path / "image" / "blobs" / "sha256" / digest).write_text("{}")

    done = _release(key, VERSION, "--image", tmp_path / "image", "--to", tmp_path / "out")

    assert done.returncode == 1
    assert "does not match its digest" in done.stderr
    assert not (tmp_path / "out" / "SHA256SUMS").exists()


def test_unknown_base_image_builds_nothing(key, tmp_path):
    """With changes in the work tree, or without buildah, it stops even earlier."""
    done = _release(key, VERSION, "--base", "localhost/absent:1", "--to", tmp_path / "out")

    assert done.returncode == 1, tools.output_of(done)
    assert done.stderr.startswith("failed: "), done.stderr
    assert not (tmp_path / "out").exists()
