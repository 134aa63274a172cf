"""Items: schemas, edits, moves, versions, references, one-time codes, generated passwords."""
