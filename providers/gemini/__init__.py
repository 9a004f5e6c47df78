"""The Google generateContent wire."""
