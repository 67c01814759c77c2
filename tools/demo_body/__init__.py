"""The steps that turn MakeHuman's CC0 body into the shipped stand-in; only `tools/build_demo_body.py` uses them."""
