"""Someone's own files of sequences: CSV, Parquet and .npz."""
