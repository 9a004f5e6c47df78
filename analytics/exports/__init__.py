"""Rows as CSV and Parquet files."""
