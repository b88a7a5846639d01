//! MantisDB: one binary and library for keys, rows, documents and columns.
