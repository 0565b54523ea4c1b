"""From desired and observed resources to a plan and its execution, without knowing what the resources are."""
