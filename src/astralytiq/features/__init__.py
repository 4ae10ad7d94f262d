"""The rooms: one folder per feature, the same file names in each."""
