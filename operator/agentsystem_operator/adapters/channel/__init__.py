"""The channel from pods to the operator: TLS, tokens, messages. `config/contract/channel`."""
