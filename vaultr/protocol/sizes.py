"""Sizes that both sides count on: bodies, items, pages and batches."""

import re
from typing import Final

MIB: Final = 1024 * 1024

BODY_BYTES: Final = MIB
BATCH_BODY_BYTES: Final = 16 * MIB
# New credentials with every wrap of an account, which has one for each vault, generation, machine.
# As many as fit: an account with more could not be recovered.
REWRAP_BODY_BYTES: Final = BATCH_BODY_BYTES
REWRAP_KEYS: Final = 200_000
WRAPS_MOST: Final = 50_000

# Sealed bytes of one item, overview and detail together; the default of QUOTA_ITEM_BYTES.
ITEM_BYTES: Final = 64 * 1024
ITEMS_PER_VAULT: Final = 10_000
VAULT_BYTES: Final = 256 * MIB
VAULTS_PER_ACCOUNT: Final = 20
VERSIONS_PER_ITEM: Final = 50
# The wraps of all generations are part of every page of a sync: a bound, and a distant one.
GENERATIONS_PER_VAULT: Final = 1_000

CHANGES_PER_BATCH: Final = 1_000
SYNC_LIMIT_DEFAULT: Final = 500
SYNC_LIMIT_MOST: Final = 1_000
SYNC_PAGE_BYTES: Final = 4 * MIB
LIST_LIMIT_DEFAULT: Final = 100
LIST_LIMIT_MOST: Final = 200

# What a client takes as one whole answer: a page of a sync with one item of any size more, a list,
# one version, or all wraps of an account; and in values, which take more room than their bytes.
ANSWER_BYTES: Final = 32 * MIB
ANSWER_VALUES: Final = 8 * WRAPS_MOST
# Anything else: what one body brought, and what stands around it.
SHORT_ANSWER_BYTES: Final = 2 * BODY_BYTES
ANSWER_SECONDS: Final = 60

ITEM_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
DEVICE_NAME_CHARACTERS: Final = 64
EMAIL_CHARACTERS: Final = 320
