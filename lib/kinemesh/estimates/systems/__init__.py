"""Other systems' files, a module for each way in which they name frames and people; docs/estimators.md lists them."""
