//! Bytes of others become our types.
