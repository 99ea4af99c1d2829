"""The mini world: everything a recipe needs, small enough to be made and trained on two cores."""
