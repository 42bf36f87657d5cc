"""A stolen database without the key file shows no name, no address, no payload."""

import stat
from pathlib import Path

import pytest

from oms_sync.flows.records import MessageSource, NewMessage
from oms_sync.storage.crypto import add_key, create_key_file, is_signed, load_key_ring
from oms_sync.storage.errors import WrongKey

CANARIES = (b"Canary", b"canary", b"secret-token")


def test_a_key_file_is_private_and_never_overwritten(tmp_path):
    path = tmp_path / "ring.key"
    create_key_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        create_key_file(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "line 1"),
        ("something else\n", "line 1"),
        ("oms-sync key ring 1\n", "at least one"),
        ("oms-sync key ring 1\nkey 1: AAAA\n", "line 2 holds 3 bytes"),
        ("oms-sync key ring 1\nkey one: AAAA\n", "line 2"),
        ("oms-sync key ring 1\nkey 1: A\n", "not base64"),
        ("oms-sync key ring 1\nkey 1: " + "A" * 43 + "=\nkey 1: " + "A" * 43 + "=\n", "line 3"),
        ("oms-sync key ring 1\nkey 1: " + "A" * 43 + "=\n", "`hash:`"),
        ("oms-sync key ring 1\n\xe9\n", "not a text file"),
    ],
)
def test_an_unusable_key_file_is_refused_with_its_place(tmp_path, text, why):
    path = tmp_path / "ring.key"
    path.write_text(text)
    with pytest.raises(WrongKey, match=why) as refused:
        load_key_ring(path)
    assert str(path) in str(refused.value)


def test_a_missing_key_file_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(WrongKey, match=r"nowhere\.key.*oms-sync init"):
        load_key_ring(tmp_path / "nowhere.key")


@pytest.mark.proves("C-02")
def test_what_is_sealed_opens_only_in_its_own_place(keys):
    sealed = keys.seal(b"hello", "order 1")
    assert b"hello" not in sealed
    assert keys.unseal(sealed, "order 1") == b"hello"
    with pytest.raises(WrongKey):
        keys.unseal(sealed, "order 2")
    with pytest.raises(WrongKey):
        keys.unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), "order 1")
    with pytest.raises(WrongKey):
        keys.unseal(sealed[:5], "order 1")
    assert keys.seal(b"hello", "order 1") != sealed


@pytest.mark.proves("C-03")
def test_after_rotation_the_newest_key_encrypts_and_all_decrypt(key_path, keys):
    old = keys.seal(b"old", "x")
    assert add_key(key_path) == 2
    ring = load_key_ring(key_path)
    assert ring.unseal(old, "x") == b"old"
    new = ring.seal(b"new", "x")
    with pytest.raises(WrongKey, match="key 2"):
        keys.unseal(new, "x")
    assert ring.hash("dedupe", b"text") == keys.hash("dedupe", b"text")
    assert ring.ledger_key == keys.ledger_key


def test_hashes_differ_by_purpose_and_by_ring(keys, tmp_path):
    assert keys.hash("one", b"text") != keys.hash("two", b"text")
    create_key_file(tmp_path / "other.key")
    assert load_key_ring(tmp_path / "other.key").hash("one", b"text") != keys.hash("one", b"text")
    assert str(keys.path) in repr(keys)


@pytest.mark.proves("C-03")
def test_a_database_refuses_another_key_ring_and_takes_a_grown_one(
    open_store, key_path, keys, tmp_path
):
    open_store()
    create_key_file(tmp_path / "other.key")
    with pytest.raises(WrongKey, match=r"other\.key.*not the key file of the database"):
        open_store(ring=load_key_ring(tmp_path / "other.key"))
    add_key(key_path)
    open_store(ring=load_key_ring(key_path))
    with pytest.raises(WrongKey, match="its key 2 is"):
        open_store(ring=keys)


@pytest.fixture
def filled(storage, build, clock):
    """A store that was told personal things in every way there is."""
    build.stored(build.order("1", buyer_id="canary-buyer"))
    storage.tokens("shop-a").save({"access_token": "secret-token"})
    with storage.open_work() as work:
        work.inbox.add(
            [
                NewMessage(
                    account="shop-a",
                    topic="orders/create",
                    source=MessageSource.WEBHOOK,
                    body=b'{"name": "Vilja Canaryberg"}',
                    headers={"x": "canary"},
                    received_at=clock.now(),
                )
            ]
        )
        work.commit()
    return storage


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.proves("C-02", "A60")
@pytest.mark.usefixtures("filled")
def test_a_stolen_sqlite_file_shows_no_name_address_token_or_payload(tmp_path):
    stolen = b"".join(path.read_bytes() for path in Path(tmp_path).glob("oms-sync.db*"))
    assert b"shop-a" in stolen  # it is the right file
    assert [canary for canary in CANARIES if canary in stolen] == []


@pytest.mark.proves("C-02", "A60")
def test_no_row_shows_a_name_an_address_a_token_or_a_payload(filled):
    from oms_sync.storage.tables import METADATA

    shown = b""
    with filled._database.read() as transaction:
        for table in METADATA.sorted_tables:
            for row in transaction.rows(table.select()):
                for value in row:
                    shown += value if isinstance(value, bytes) else repr(value).encode()
    assert b"shop-a" in shown
    assert [canary for canary in CANARIES if canary in shown] == []


def test_tokens_come_back_and_replace_one_another(storage):
    tokens = storage.tokens("shop-a")
    assert tokens.load() == {}
    tokens.save({"access_token": "1"})
    tokens.save({"access_token": "2"})
    assert tokens.load() == {"access_token": "2"}
    assert storage.tokens("shop-b").load() == {}


def test_an_error_of_the_database_quotes_no_personal_data(storage, build):
    from oms_sync.domain.errors import RuleBroken

    build.stored(build.order("1"))
    with pytest.raises(RuleBroken) as refused, storage.open_work() as work:
        work.orders.add([build.order("1")])
    chain = [refused.value, refused.value.__cause__, refused.value.__cause__.__cause__]
    assert "Canary" not in "".join(repr(error) + str(error) for error in chain)


def test_a_signature_proves_its_content_and_its_ring(tmp_path):
    create_key_file(tmp_path / "one")
    create_key_file(tmp_path / "two")
    ring, other = load_key_ring(tmp_path / "one"), load_key_ring(tmp_path / "two")
    signature = ring.sign(b"certificate")
    assert is_signed(ring.public_key, signature, b"certificate")
    assert not is_signed(ring.public_key, signature, b"certificate ")
    assert not is_signed(other.public_key, signature, b"certificate")
    assert not is_signed(b"no key", signature, b"certificate")
    assert not is_signed(ring.public_key, b"", b"certificate")


def test_a_ring_signs_alike_after_a_restart_and_after_a_new_key(tmp_path):
    create_key_file(tmp_path / "keys")
    before = load_key_ring(tmp_path / "keys")
    add_key(tmp_path / "keys")
    after = load_key_ring(tmp_path / "keys")
    assert before.public_key == after.public_key
    assert is_signed(after.public_key, before.sign(b"x"), b"x")
