"""The work of each figure as one would write it by hand. Nothing here imports mainstem: the peers need it too."""
