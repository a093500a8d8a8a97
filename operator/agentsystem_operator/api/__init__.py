"""AgentSystem v1alpha1: the pydantic models that are the only source of the API."""
