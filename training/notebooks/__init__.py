"""The notebooks, and what they need besides the commands: packages, pictures and a public address."""
