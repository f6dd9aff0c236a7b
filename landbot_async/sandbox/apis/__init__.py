"""The two HTTP APIs over a workspace, and their OpenAPI descriptions."""
