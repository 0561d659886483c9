"""The HTTP routes, one module per concern; `service.app` joins them."""
