"""Items for their users: what each type holds, edits, moves, versions, and values in them."""
