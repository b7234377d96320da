"""Where a rehearsal's requests come from: recorded traces of any known form, or a synthetic day."""
