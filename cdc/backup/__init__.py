"""Backups of both sides that belong together, each tried before it is called one."""
