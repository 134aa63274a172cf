"""docs/environment-variables.md is generated from `Settings` by `--write-docs`."""

import re

from tests.guards import source_tree
from vaultr.ops.settings_commands import described
from vaultr.protocol import sizes
from vaultr.settings.types import KEY_SETS

PAGE = source_tree.ROOT / "docs" / "environment-variables.md"
HEAD = """# Settings

`tests/unit/test_environment_page.py` generates this page from `vaultr/settings/model.py`.
`flask settings` prints the same list. `flask check` reports every missing or wrong setting in one
run, and never prints a value. [config/production.env.example](../config/production.env.example)
lists them in groups.

- Set each setting either as an environment variable, or as `<NAME>_FILE`, the path of a file that
  contains the value (one trailing line break is removed).
- `DATADOG_HOST` is another name for `STATSD_HOST`: a host, or host and port (default 8125).
- Write a rate as `count/seconds`: `5/900` is 5 in 15 minutes.
- Settings with keys that rotate (%s)
  can have several keys, separated by commas or line breaks: `<id>:<base64url of 32 bytes>`. The
  first key signs and seals; all keys verify and open. A plain value is one key named `default`.
  `flask keys generate` creates a set; [keys.md](keys.md) describes how to replace one.
- Secrets are never shown, logged or repeated in a message. Provide them as files.
- In development everything has a default. In production the server needs the marked settings to
  start.

| name | default | needed in production | secret | what it is |
| --- | --- | --- | --- | --- |
"""
MIB = 1024 * 1024
TAIL = f"""
## Limits that are not settings

These sizes belong to the wire format, so no setting changes them. With larger limits, the server
would store data that clients reject; with smaller ones, it would reject data that clients send:

- A request body has at most {sizes.BODY_BYTES // MIB} MiB; that of a batch or a rewrap has at most
  {sizes.BATCH_BODY_BYTES // MIB} MiB. A batch has at most {sizes.CHANGES_PER_BATCH:,} changes.
- A key wrap has at most {sizes.KEY_WRAP_BYTES:,} bytes; today's key wraps have 145.
- A vault has at most {sizes.GENERATIONS_PER_VAULT:,} generations of keys. An item keeps
  {sizes.VERSIONS_PER_ITEM} versions.
- A page has at most {sizes.LIST_LIMIT_MOST} rows; a page of a sync has at most
  {sizes.SYNC_LIMIT_MOST:,}. PAGE_BYTES is at most {sizes.PAGE_BYTES // MIB} MiB.

A mistyped setting must not expose every account to guessing. Therefore LOCKOUT_FAILURES is at most
100, and a lockout lasts at least 15 minutes.

Some limits follow from settings:

- Requests without a session from one client address get half of PARALLEL_REQUESTS.
- Logins from one client address get two places in the hash queue (LOGIN_QUEUE), and never more
  than a third of the queue. With four threads, LOGIN_QUEUE is three.
- While a process reads one large body, one more large body may wait.
"""
KEYS = ", ".join(f"`{name}`" for name in KEY_SETS)


def row(one):
    default = "" if one["default"] in (None, "") else f"`{one['default']}`"
    marks = ("yes" if one["required_in_production"] else "", "yes" if one["secret"] else "")
    text = one["description"].replace("|", "\\|")
    return f"| `{one['name']}` | {default} | {marks[0]} | {marks[1]} | {text} |\n"


def test_environment_page_matches_the_settings(pytestconfig):
    page = HEAD % KEYS + "".join(row(one) for one in described()) + TAIL
    if pytestconfig.getoption("--write-docs"):
        PAGE.write_text(page)

    assert PAGE.read_text() == page


def test_environment_page_lists_every_setting_once():
    names = re.findall(r"^\| `([A-Z_]+)` \|", PAGE.read_text(), re.M)

    assert len(set(names)) == len(names) == len(described())


def test_defaults_do_not_depend_on_the_machine():
    varying = {one["name"]: one["default"] for one in described() if callable(one["default"])}

    assert varying == {}
    assert {one["default"] for one in described() if one["name"] == "WEB_CONCURRENCY"} == {None}
