"""The playbook and its controller."""
