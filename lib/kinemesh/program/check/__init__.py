"""`--check`: what can be known about a run before it is one."""
