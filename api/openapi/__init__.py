"""The service's description in OpenAPI 3.1."""
