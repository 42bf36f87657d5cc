"""Batches mean what the database library makes of the same statement and rows."""

import pytest
from sqlalchemy import bindparam, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.exc import InvalidRequestError

from oms_sync.storage.batches import compiled_batch
from oms_sync.storage.columns import to_micros
from oms_sync.storage.tables.hub import wakes
from oms_sync.storage.tables.stock import safety_policies, skus

SQLITE, POSTGRES = sqlite.dialect(), postgresql.psycopg.dialect()
MARK = update(skus).where(skus.c.sku == bindparam("b_sku")).values(is_fill_due=True)


def test_rows_become_tuples_in_the_order_the_statement_names_them(clock):
    now = clock.now()
    row = {"location": "main", "sku": "MUG", "units": 2, "actor": "anna", "at": now}
    batch = compiled_batch(insert(safety_policies), SQLITE, tuple(row))
    columns = batch.sql.partition("(")[2].partition(")")[0].split(", ")
    (made,) = batch.parameters([row])
    assert dict(zip(columns, made, strict=True)) == row | {"at": to_micros(now)}


def test_rows_become_mappings_where_the_driver_wants_names():
    batch = compiled_batch(MARK, POSTGRES, ("b_sku",))
    made = batch.parameters([{"b_sku": "MUG"}, {"b_sku": "CUP"}])
    assert made == [{"b_sku": "MUG", "is_fill_due": True}, {"b_sku": "CUP", "is_fill_due": True}]
    assert "%(b_sku)s" in batch.sql


def test_a_value_of_the_statement_itself_is_the_same_in_every_row():
    batch = compiled_batch(MARK, SQLITE, ("b_sku",))
    assert batch.parameters([{"b_sku": "MUG"}, {"b_sku": "CUP"}]) == [(1, "MUG"), (1, "CUP")]


def test_a_value_no_row_gives_is_refused_and_never_null():
    with pytest.raises(InvalidRequestError):
        compiled_batch(MARK, SQLITE, ("sku",))


def test_a_row_that_lacks_a_name_of_the_first_is_refused():
    batch = compiled_batch(insert(wakes), SQLITE, ("flow", "account"))
    with pytest.raises(KeyError):
        batch.parameters([{"flow": "ingest", "account": "shop-a"}, {"flow": "ingest"}])


def test_postgres_takes_new_rows_as_one_array_a_column():
    batch = compiled_batch(insert(wakes), POSTGRES, ("flow", "account"))
    assert "SELECT * FROM unnest(%(flow)s::" in batch.sql
    rows = [{"flow": "ingest", "account": "a"}, {"flow": "reserve", "account": "b"}]
    assert batch.parameters(rows) == [{"flow": ["ingest", "reserve"], "account": ["a", "b"]}]


def test_rows_that_update_on_conflict_stay_single():
    upsert = postgres_insert(skus).on_conflict_do_update(
        index_elements=[skus.c.sku], set_={"is_fill_due": True}
    )
    ignoring = postgres_insert(skus).on_conflict_do_nothing()
    names = ("sku", "is_fill_due")
    assert "unnest" not in compiled_batch(upsert, POSTGRES, names).sql
    assert compiled_batch(ignoring, POSTGRES, names).sql.endswith(") ON CONFLICT DO NOTHING")
    assert "unnest" in compiled_batch(ignoring, POSTGRES, names).sql


def test_a_batch_asks_for_no_rows_back():
    batch = compiled_batch(insert(wakes), POSTGRES, ("flow", "account"))
    assert "RETURNING" not in batch.sql
