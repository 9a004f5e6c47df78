"""The page "Levers": what each lever does and saved, and its switch."""
