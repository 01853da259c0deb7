"""Teaching exits: recipes, losses, the trainer that follows them, and the card that says how it went."""
