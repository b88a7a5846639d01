//! Integration tests of mantis-types.

#[cfg(test)]
mod format_page;
