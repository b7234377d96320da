//! Where a request goes, and what its outcome changes.
