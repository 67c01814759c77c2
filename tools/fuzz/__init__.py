"""Valid files of each kind that is read, ways to spoil them, and the trial of the reader on each."""
