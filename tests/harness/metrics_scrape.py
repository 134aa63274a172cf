"""Scrape the metrics of a running server, by name and labels."""

import urllib.request

from prometheus_client.parser import text_string_to_metric_families


def scraped(port, path="/metrics"):
    """Return ``{(name, frozenset of labels): value}`` of all samples on a metrics port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return parsed(answer.read().decode())


def parsed(text):
    families = text_string_to_metric_families(text)
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in families
        for one in family.samples
    }


def names_of(text):
    """List the names of all samples, including those of families without samples yet."""
    named = set()
    for family in text_string_to_metric_families(text):
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        named |= {family.name + end for end in ends.get(family.type, ("",))}
    return named


def jobs_done(port):
    """List the jobs that a worker has completed at least once."""
    try:
        samples = scraped(port)
    except OSError:
        return set()
    name = "vaultr_job_done_timestamp_seconds"
    return {dict(labels)["task"] for named, labels in samples if named == name}


def total(samples, name, **labels):
    """Add up the samples of a name that have these labels (among others)."""
    wanted = set(labels.items())
    return sum(
        value for (named, having), value in samples.items() if named == name and wanted <= having
    )
