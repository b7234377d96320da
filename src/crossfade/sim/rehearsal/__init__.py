"""Rehearsal: the whole playbook in virtual time, over the production decisions and guards."""
