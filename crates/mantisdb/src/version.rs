//! What was built.

/// The product's version: `VERSION=` of `make build-rust`, else the workspace's.
pub(crate) const VERSION: &str = match option_env!("MANTIS_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// The commit that was built, where the build was told.
pub(crate) const COMMIT: Option<&str> = option_env!("MANTIS_COMMIT");

/// When it was built, where the build was told.
pub(crate) const BUILT_AT: Option<&str> = option_env!("MANTIS_BUILT_AT");
