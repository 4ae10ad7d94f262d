"""Reading, paging and normalising of records: computation only."""
