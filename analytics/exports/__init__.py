"""Exports of rows as CSV and Parquet files."""
