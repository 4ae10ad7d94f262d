"""What happened in this house, and the proof that nobody changed the story."""
