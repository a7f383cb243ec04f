"""A relay: it accepts messages, keeps them, and gets them to the next hop."""
