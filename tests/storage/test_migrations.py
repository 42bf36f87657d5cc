"""Migrations lead to exactly the tables the code works with, on both databases."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from oms_sync.storage import schema
from oms_sync.storage.connections import Database
from oms_sync.storage.tables import METADATA


@pytest.fixture
def postgres_url(postgres_server):
    """An empty database: these tests make the tables themselves."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture
def database(database_url, tmp_path):
    opened = Database(database_url, base_dir=tmp_path, pool_size=2)
    yield opened
    opened.close()


def _script():
    config = Config()
    config.set_main_option("script_location", "oms_sync.storage:migrations")
    return ScriptDirectory.from_config(config)


def _described(connection, dialect):
    """Every table, column, index and check as the database itself describes it."""
    if dialect == "sqlite":
        query = "SELECT type, name, sql FROM sqlite_master WHERE name <> 'alembic_version'"
        rows = connection.execute(text(query)).all()
        return sorted((kind, name, _plain(made)) for kind, name, made in rows if made)
    queries = (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace",
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT table_name, column_name, data_type || is_nullable || coalesce(column_default, '') "
        "FROM information_schema.columns WHERE table_schema = 'public'",
    )
    rows = [tuple(row) for query in queries for row in connection.execute(text(query))]
    return sorted(row for row in rows if "alembic_version" not in row)


def _plain(made):
    """DDL without layout; columns and constraints in a fixed order."""
    return sorted(part.strip(" ,\n\t") for part in made.splitlines())


def test_migrations_and_tables_are_the_same(database):
    schema.upgrade(database)
    with database.write() as transaction:
        context = MigrationContext.configure(transaction.connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


@pytest.mark.proves("I-02", "I-14")
def test_migrations_and_tables_describe_the_very_same_schema(database):
    dialect = database.engine.dialect.name
    schema.upgrade(database)
    with database.write() as transaction:
        migrated = _described(transaction.connection, dialect)
        METADATA.drop_all(transaction.connection)
        METADATA.create_all(transaction.connection)
        assert _described(transaction.connection, dialect) == migrated
    assert len(migrated) > 40


def test_an_empty_database_is_prepared_and_stamped_with_the_newest_revision(database):
    assert schema.current_revision(database) is None
    schema.prepare_empty(database)
    assert schema.current_revision(database) == schema.REVISION == _script().get_current_head()
    schema.prepare_empty(database)
    schema.upgrade(database)  # nothing left to do
    assert schema.current_revision(database) == schema.REVISION


@pytest.mark.proves("I-37")
def test_one_step_back_leaves_nothing_behind(database):
    from alembic import command

    schema.upgrade(database)
    config = Config()
    config.set_main_option("script_location", "oms_sync.storage:migrations")
    with database.write() as transaction:
        config.attributes["connection"] = transaction.connection
        command.downgrade(config, "base")
        transaction.commit()
    with database.read() as transaction:
        assert inspect(transaction.connection).get_table_names() == ["alembic_version"]


def test_a_database_of_another_revision_says_what_to_do(storage, tamper):
    assert storage.ready() == []
    assert storage.current_revision() == storage.needed_revision()
    tamper("UPDATE alembic_version SET version_num = '0000'")
    assert "oms-sync db upgrade" in storage.ready()[0]
