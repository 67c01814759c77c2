"""The networks: a backbone over keypoint clips, the heads that turn its features into a body, and the two joined."""
