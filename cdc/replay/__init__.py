"""What the recorded events tell: events as they are, one row's history, and states built again."""
