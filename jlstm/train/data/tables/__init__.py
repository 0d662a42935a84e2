"""Users' own files of sequences, in CSV, Parquet and .npz, and files of predictions."""
