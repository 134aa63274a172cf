"""Size limits that client and server share: bodies, items, pages and batches."""

import re
from typing import Final

MIB: Final = 1024 * 1024

BODY_BYTES: Final = MIB
BATCH_BODY_BYTES: Final = 16 * MIB
# New credentials with all wraps of an account: one for each vault, generation and machine. An
# account with more wraps could not be recovered.
REWRAP_BODY_BYTES: Final = BATCH_BODY_BYTES
REWRAP_KEYS: Final = 200_000
WRAPS_MOST: Final = 50_000

# Sealed bytes of one item, overview and detail together; the default of QUOTA_ITEM_BYTES.
ITEM_BYTES: Final = 64 * 1024
ITEMS_PER_VAULT: Final = 10_000
VAULT_BYTES: Final = 256 * MIB
VAULTS_PER_ACCOUNT: Final = 20
MACHINES_PER_ACCOUNT: Final = 50
VERSIONS_PER_ITEM: Final = 50
# A wrap has 145 bytes; the limit leaves room for future suites.
KEY_WRAP_BYTES: Final = 1024
# Every page of a sync contains the wraps of all generations, so their number has a limit.
GENERATIONS_PER_VAULT: Final = 1_000

CHANGES_PER_BATCH: Final = 1_000
SYNC_LIMIT_DEFAULT: Final = 500
SYNC_LIMIT_MOST: Final = 1_000
# Every page ends at this many bytes of sealed values or events, but has at least one row.
PAGE_BYTES: Final = 4 * MIB
LIST_LIMIT_DEFAULT: Final = 100
LIST_LIMIT_MOST: Final = 200

# The largest response that a client accepts (a page of a sync plus one item of any size, a list, a
# version, or all wraps of an account), and its largest number of JSON values, which use more memory
# than their bytes.
ANSWER_BYTES: Final = 32 * MIB
ANSWER_VALUES: Final = 8 * WRAPS_MOST
# Any other response: the contents of one body, and the fields around it.
SHORT_ANSWER_BYTES: Final = 2 * BODY_BYTES
ANSWER_SECONDS: Final = 60

ITEM_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
DEVICE_NAME_CHARACTERS: Final = 64
EMAIL_CHARACTERS: Final = 320
