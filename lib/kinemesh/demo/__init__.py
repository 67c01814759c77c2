"""The embedded default: a stand-in body and synthetic datasets in the released file formats; no licensed file."""
