import pytest
pytestmark = pytest.mark.slow
UNITS = 2
@pytest.mark.parametrize("connector", ["ebay", "amazon"])
@pytest.mark.parametrize("policy", ["overwrite"])
def test_x(make_town, wait_until, policy, connector):
    import time
    town = make_town(shops=(), channels={"shop-a": connector})
    town.configure(poll_seconds=1, reconcile_seconds=2, drift=policy, has_webhooks=False)
    town.seed()
    town.start_hub()
    t=time.time()
    try:
        town.wait_level()
    finally:
        print("LEVEL", time.time()-t)
        print(town.log_path.read_text()[-12000:])
        print(town.run("accounts","show","shop-a","--calls").stdout[-4000:])
