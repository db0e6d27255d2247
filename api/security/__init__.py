"""Who may use the service, how much, and from which web pages."""
