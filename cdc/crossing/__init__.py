"""What each table becomes on the other side: its name, its types, its keys. Moves no rows."""
