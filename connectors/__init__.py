"""One folder per channel; every connector speaks to the hub through oms_sync.sdk only."""
