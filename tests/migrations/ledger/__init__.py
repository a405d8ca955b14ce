"""A Django app that consists of its migrations; they are what is tested."""
