//! The table of surfaces: every path of this port, who may call it, and whether it is built.
//!
//! One table drives the router (a path that is not in it does not exist), the authorisation of each
//! request, the answers 404, 405 and 501, and `GET /api/v1/capabilities`.

mod pattern;
mod table;

pub(crate) use pattern::Pattern;
pub(crate) use table::SURFACES;

/// An HTTP method that some surface answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Verb {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    /// Every verb, in the order of `Allow`.
    pub(crate) const ALL: [Self; 6] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
    ];

    /// The verb of a request; `None` for methods that nothing here answers to.
    pub(crate) fn of(method: &http::Method) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|verb| verb.as_str() == method.as_str())
    }

    /// As it stands in a request.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// The wave in which a surface is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    W1,
    W2,
    W3,
}

impl Due {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::W1 => "W1",
            Self::W2 => "W2",
            Self::W3 => "W3",
        }
    }
}

/// Who may call a surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Everyone; what is shown may depend on who asks.
    Open,
    /// Whoever may use the data API.
    Data,
    /// Administrators, always with credentials.
    Admin,
    /// As `Admin`; a browser may show the token as the password of HTTP Basic. For pages that are
    /// read only: a browser repeats Basic credentials by itself, also when another site asks it to.
    AdminPage,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surface {
    /// The group it belongs to, for `/api/v1/capabilities`.
    pub(crate) group: &'static str,
    /// `{name}` is one segment, `{*name}` the rest or what stands before the next fixed part.
    pub(crate) path: &'static str,
    /// What it answers to; `HEAD` goes with `GET`.
    pub(crate) verbs: &'static [Verb],
    pub(crate) due: Due,
    pub(crate) rule: Rule,
    pub(crate) available: bool,
}

impl Surface {
    /// Whether it answers to the verb.
    pub(crate) fn answers(&self, verb: Verb) -> bool {
        let as_get = verb == Verb::Head && self.verbs.contains(&Verb::Get);
        as_get || self.verbs.contains(&verb)
    }

    /// Whether it reads or changes data, so that a transaction can hold what it does.
    pub(crate) fn is_data(&self) -> bool {
        let groups = ["kv", "tables", "sql", "documents", "columnar"];
        self.rule == Rule::Data && groups.contains(&self.group)
    }
}

/// The form of an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `{success, data, error, meta}`.
    Envelope,
    /// Bare objects of the admin API.
    Bare,
}

impl Shape {
    /// The form that goes with a path.
    pub(crate) fn of(path: &str) -> Self {
        let data = path == "/api/v1" || path.starts_with("/api/v1/");
        if path.starts_with("/api/") && !data {
            Self::Bare
        } else {
            Self::Envelope
        }
    }
}

/// What the table says about a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    /// This row, by its index.
    Surface(usize),
    /// The path exists, the method does not. The rule of the path, and the methods it has.
    WrongVerb {
        rule: Rule,
        allowed: [bool; Verb::ALL.len()],
    },
    /// No such path. The rule of what is around it.
    Nothing { rule: Rule },
}

/// Looks a request up. Cost: a comparison of prefixes for each row with parameters.
pub(crate) fn find(path: &str, verb: Option<Verb>) -> Found {
    let mut rule = None;
    let mut allowed = [false; Verb::ALL.len()];
    for (index, surface) in SURFACES.iter().enumerate() {
        if !Pattern(surface.path).matches(path) {
            continue;
        }
        if verb.is_some_and(|verb| surface.answers(verb)) {
            return Found::Surface(index);
        }
        rule.get_or_insert(surface.rule);
        for (slot, verb) in allowed.iter_mut().zip(Verb::ALL) {
            *slot |= surface.answers(verb);
        }
    }
    match rule {
        Some(rule) => Found::WrongVerb { rule, allowed },
        None => Found::Nothing {
            rule: rule_around(path),
        },
    }
}

/// What an unknown path asks of its caller: nobody learns without credentials which paths exist.
fn rule_around(path: &str) -> Rule {
    match (path.starts_with("/api/"), Shape::of(path)) {
        (true, Shape::Bare) => Rule::Admin,
        (true, Shape::Envelope) => Rule::Data,
        (false, _) => Rule::Open,
    }
}

/// The value of `Allow`.
pub(crate) fn allow_list(allowed: [bool; Verb::ALL.len()]) -> String {
    let verbs = Verb::ALL
        .into_iter()
        .zip(allowed)
        .filter(|(_, allowed)| *allowed);
    verbs
        .map(|(verb, _)| verb.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests;
