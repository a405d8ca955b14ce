"""What a migration will be, told before anything is written."""
