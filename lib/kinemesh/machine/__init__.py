"""Device, processes, signals, log: what a run has to do with the machine it runs on."""
