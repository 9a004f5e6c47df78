"""Google's generateContent API: requests, answers and streams."""
