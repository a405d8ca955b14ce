"""`python -m cdc` is `cdc`."""

from cdc.cli import main

main()
