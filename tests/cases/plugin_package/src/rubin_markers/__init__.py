"""A kind and a report format for reconcile."""
