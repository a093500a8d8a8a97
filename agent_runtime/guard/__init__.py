"""What protects a system and the people who use it; the parts that every layer may import."""
