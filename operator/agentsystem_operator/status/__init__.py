"""What is reported: conditions, the status body, Events. Pure; output only (I7)."""
