"""From a hospital's raw tables to typed, pseudonymous rows."""
