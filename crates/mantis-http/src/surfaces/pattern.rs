//! Path patterns of the table: fixed parts, one-segment parameters, and rests.

/// A pattern such as `/api/v1/kv/{*key}/increment`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern(pub(crate) &'static str);

impl Pattern {
    /// Whether a raw path (still percent-encoded) has this form.
    pub(crate) fn matches(self, path: &str) -> bool {
        matches(self.0, path)
    }

    /// As OpenAPI writes it: a rest is a parameter like any other.
    pub(crate) fn openapi(self) -> String {
        self.0.replace("{*", "{")
    }

    /// What stands for the `{*name}` of this pattern in a raw path; `None` when the path has
    /// another form.
    pub(crate) fn rest(self, path: &str) -> Option<&str> {
        let (prefix, parameter) = self.0.split_once("{*")?;
        let (_, suffix) = parameter.split_once('}')?;
        path.strip_prefix(prefix)?.strip_suffix(suffix)
    }
    /// What stands for the segment `{name}` in a raw path; `None` when the path has another form.
    pub(crate) fn parameter<'a>(self, name: &str, path: &'a str) -> Option<&'a str> {
        let mut segments = path.split('/');
        let found = self.0.split('/').find_map(|part| {
            let segment = segments.next()?;
            let known = part.strip_prefix('{')?.strip_suffix('}')?;
            (known == name).then_some(segment)
        });
        found.filter(|_| self.matches(path))
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let Some((fixed, parameter)) = pattern.split_once('{') else {
        return pattern == path;
    };
    let Some(rest) = path.strip_prefix(fixed) else {
        return false;
    };
    let Some((name, after)) = parameter.split_once('}') else {
        return false;
    };
    if name.starts_with('*') {
        return rest.ends_with(after);
    }
    let end = rest.find('/').unwrap_or(rest.len());
    let (segment, rest) = rest.split_at(end);
    !segment.is_empty() && matches(after, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_paths() {
        for (pattern, path, expected) in [
            ("/health", "/health", true),
            ("/health", "/health/", false),
            ("/a/{id}", "/a/1", true),
            ("/a/{id}", "/a/", false),
            ("/a/{id}", "/a/1/2", false),
            ("/a/{id}/b/{c}", "/a/1/b/2", true),
            ("/a/{id}/b/{c}", "/a/1/c/2", false),
            ("/kv/{*key}", "/kv/", true),
            ("/kv/{*key}", "/kv//a//b/", true),
            ("/kv/{*key}", "/kv", false),
            ("/kv/{*key}/increment", "/kv/a/increment", true),
            ("/kv/{*key}/increment", "/kv//increment", true),
            ("/kv/{*key}/increment", "/kv/increment", false),
            ("/kv/{*key}/increment", "/kv/a/incremen", false),
        ] {
            assert_eq!(Pattern(pattern).matches(path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_parameter_is_the_segment_in_its_place() {
        let pattern = Pattern("/t/{id}/s/{name}/x");
        assert_eq!(pattern.parameter("id", "/t/1/s/a%2F/x"), Some("1"));
        assert_eq!(pattern.parameter("name", "/t/1/s/a%2F/x"), Some("a%2F"));
        assert_eq!(pattern.parameter("other", "/t/1/s/a/x"), None);
        assert_eq!(pattern.parameter("id", "/t/1/s/a/y"), None);
    }

    #[test]
    fn the_rest_is_what_stands_between_prefix_and_suffix() {
        assert_eq!(Pattern("/kv/{*key}").rest("/kv/a/b%2F"), Some("a/b%2F"));
        assert_eq!(Pattern("/kv/{*key}").rest("/kv/"), Some(""));
        let increment = Pattern("/kv/{*key}/increment");
        assert_eq!(
            increment.rest("/kv/a/increment/increment"),
            Some("a/increment")
        );
        assert_eq!(increment.rest("/kv/increment"), None);
    }
}
