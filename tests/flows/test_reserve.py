"""Reserve: every line holds what it wants, as far as stock goes, oldest order first."""

def test_smoke(any_hub):
    shop = any_hub.open_shop()
    order = shop.buy(("TEE", 2))
    any_hub.settle()
    assert any_hub.filled(order) == (2, 0)
    assert any_hub.stock() == (10, 2)
    assert any_hub.listing().expected == 8
    assert shop.quantities() == {"TEE": 8}
    assert any_hub.writes() == []
