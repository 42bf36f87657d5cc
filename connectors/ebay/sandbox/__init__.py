"""An eBay seller on loopback that keeps its own truth; `app:create_sandbox` makes one."""
