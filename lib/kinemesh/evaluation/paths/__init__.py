"""What is to be said of fitted tracks beside errors of posture: how they fit, and where they go."""
