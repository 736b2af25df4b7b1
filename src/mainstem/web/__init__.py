"""The page: runs and rejects of a store in a browser, with no build step and no address outside the page itself."""
