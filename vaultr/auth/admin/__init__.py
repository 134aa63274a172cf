"""Account administration for operators: commands, actions, queries."""
