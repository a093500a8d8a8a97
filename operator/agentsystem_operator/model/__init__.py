"""Values that flow through the operator: names, observations, decisions' results. No behaviour."""
