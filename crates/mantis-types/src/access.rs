//! The proof that somebody was asked whether this call is allowed.

/// Shown to every model call. Only `mantis-session` makes one (checked by `cargo xtask tidy`), after
/// it has decided that the principal may do what it asks; so no front end can forget the question.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    _made_by_session: (),
}

impl Access {
    /// Grants access. To be called by `mantis-session`, and by tests of the models.
    #[must_use]
    pub const fn grant() -> Self {
        Self {
            _made_by_session: (),
        }
    }
}
