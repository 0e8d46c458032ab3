"""What tests share: fixtures as plugins, factories, and servers that misbehave on request."""
