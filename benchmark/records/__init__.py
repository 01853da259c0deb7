"""Records as files, their schema and columns, and the tables made of them. Without torch."""
