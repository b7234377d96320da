"""What goes over the wire: HTTP, request signatures, event-stream frames."""
