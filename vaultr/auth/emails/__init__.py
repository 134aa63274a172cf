"""The emails that accounts receive."""
