"""All that touches PostgreSQL. `psycopg.connect` stands in `connection.py` and nowhere else."""
