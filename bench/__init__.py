"""How fast cdc is, measured on this machine: `python -m bench`. See README.md beside this file."""
