"""Real recordings through the loop with a tiny model: tiny.py makes the model, recipe.yaml is the experiment."""
