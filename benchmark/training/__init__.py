"""Training exits: recipes, losses, the trainer and the card of a checkpoint."""
