"""A fit that goes on with the floor known: feet that rest stay where they are, and nothing is below."""
