"""Flask blueprints of the routes."""
