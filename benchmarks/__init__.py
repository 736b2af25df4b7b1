"""What mainstem costs, beside code written by hand and beside its peers: ``make benchmark``."""
