"""Mails wait in an outbox, written with the change they tell of; one sender empties it."""
