"""What the client says and hears: requests, answers, retries. It knows neither sync nor async."""
