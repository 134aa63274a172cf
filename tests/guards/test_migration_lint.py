"""No migration blocks the site or breaks running code; the linter finds each kind of mistake."""

import re

import pytest

from tests.guards import source_tree
from tests.harness import migration_linter

MIGRATIONS = sorted((source_tree.ROOT / "migrations" / "versions").glob("[0-9]*.py"))
HEAD = "import sqlalchemy as sa\nfrom alembic import op\nrevision = '0042'\n"
COLUMN = "sa.Column('x', sa.Text(){})"
FAULTS = {
    f"op.add_column('items', {COLUMN.format(', nullable=False')})": "mandatory without a default",
    "op.add_column('items', sa.Column('x', sa.Uuid(), server_default=sa.text('uuidv7()')))": "rew",
    f"op.add_column('items', {COLUMN.format(', unique=True')})": "not concurrent",
    "op.add_column('items', sa.Column('x', sa.Uuid(), sa.ForeignKey('vaults.id')))": "all rows",
    "op.alter_column('items', 'size', type_=sa.Text())": "rewrites the table",
    "op.alter_column('items', 'size', new_column_name='bytes')": "say oldest_code",
    "op.alter_column('items', 'size', nullable=False)": "say oldest_code",
    "op.drop_column('items', 'size')": "say oldest_code",
    "op.drop_table('items')": "say oldest_code",
    "op.rename_table('items', 'things')": "say oldest_code",
    "op.create_index('ix', 'items', ['size'])": "not concurrent",
    "op.create_index('ix', 'items', ['size'], postgresql_concurrently=True)": "autocommit_block",
    "op.create_unique_constraint('uq', 'items', ['size'])": "not concurrent",
    "op.create_foreign_key('fk', 'items', 'vaults', ['a'], ['id'])": "postgresql_not_valid",
    "op.create_check_constraint('ck', 'items', 'size > 0')": "postgresql_not_valid",
    "op.execute('SET lock_timeout = 0')": "time limit",
    "op.execute('ALTER TABLE items ADD x text')": "by hand",
    "op.execute('UPDATE items SET size = 1')": "without batches",
    "op.batch_alter_table('items').__enter__().drop_column('size')": "say oldest_code",
    "op.create_table('a'); op.execute('INSERT INTO a VALUES (1)')": "schema and data",
}
GOOD = (
    f"op.add_column('items', {COLUMN.format('')})",
    "op.add_column('items', sa.Column('x', sa.Text(), nullable=False, server_default=''))",
    "op.create_table('a', sa.Column('x', sa.Text())); op.create_index('ix', 'a', ['x'])",
    "with op.get_context().autocommit_block():\n"
    "        op.create_index('ix', 'items', ['size'], postgresql_concurrently=True)",
    "op.create_check_constraint('ck', 'items', 'size > 0', postgresql_not_valid=True)",
    "op.execute('UPDATE items SET size = 1 WHERE id IN (SELECT id FROM items LIMIT 500)')",
)


def linted(folder, body, extra=""):
    path = folder / "0042_x.py"
    path.write_text(f"{HEAD}{extra}\ndef upgrade():\n    {body}\n")
    return migration_linter.faults_of(path)


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: path.stem)
def test_migrations_pass_the_linter(path):
    assert migration_linter.faults_of(path) == []


@pytest.mark.parametrize(("body", "fault"), FAULTS.items())
def test_linter_reports_each_kind_of_fault(tmp_path, body, fault):
    assert any(fault in one for one in linted(tmp_path, body)), linted(tmp_path, body)


@pytest.mark.parametrize("body", GOOD)
def test_online_safe_operations_are_accepted(tmp_path, body):
    assert linted(tmp_path, body) == []


def test_destructive_migration_must_name_the_code_it_requires(tmp_path):
    drop = "op.drop_column('items', 'size')"

    assert linted(tmp_path, drop, "oldest_code = '0040'") == []
    assert linted(tmp_path, drop, "oldest_code = '0042'") == [
        "oldest_code is a revision before this one"
    ]


def test_migrations_limit_lock_and_statement_time():
    environment = (source_tree.ROOT / "migrations" / "env.py").read_text()

    assert re.search(r"^LOCK_SECONDS = 10$", environment, re.M)
    assert "SET lock_timeout" in environment
    assert "SET statement_timeout" in environment


def test_migration_numbers_are_consecutive():
    numbers = [path.name[:4] for path in MIGRATIONS]

    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
