"""`python -m oms_sync`: the same as the command `oms-sync`."""

from oms_sync.cli.main import main

if __name__ == "__main__":
    main()
