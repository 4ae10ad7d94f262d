"""Tables of rows and columns: CSV and records into Parquet, and Parquet back out."""
