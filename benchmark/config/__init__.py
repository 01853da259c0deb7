"""The choices in `conf` and in a user's own folder: what there is, what it needs, and whether it composes."""
