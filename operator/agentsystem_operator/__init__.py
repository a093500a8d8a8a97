"""The AgentSystem operator: one custom resource runs a whole multi-agent LLM system."""
