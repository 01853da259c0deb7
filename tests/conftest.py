"""Its place puts this folder on the path, so that tests in subfolders find the shared doubles."""
