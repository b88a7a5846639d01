//! Conditional requests: `If-Match` and `If-None-Match` against the version of a value.

use http::{HeaderMap, HeaderName, header};
use mantis_session::{Condition, UNCOMMITTED};
use mantis_types::{Code, Seq};

use crate::failure::{Failure, Outcome};

/// Most tags of one header that are looked at.
const TAGS_MAX: usize = 64;

/// What a header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Any,
    /// The strong ones; those that are no version of ours are left out.
    Versions(Vec<Seq>),
}

/// The condition of a write.
///
/// # Errors
/// 400 for conditions that a write cannot have; 412 for one that no version can meet.
pub(crate) fn of_write(headers: &HeaderMap) -> Outcome<Condition> {
    let if_match = wanted(headers, &header::IF_MATCH, false)?;
    let if_none_match = wanted(headers, &header::IF_NONE_MATCH, false)?;
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::Always),
        (Some(_), Some(_)) => Err(Failure::invalid(
            "If-Match and If-None-Match exclude each other on a write",
        )),
        (None, Some(Wanted::Any)) => Ok(Condition::IfAbsent),
        (None, Some(Wanted::Versions(_))) => {
            Err(Failure::invalid("If-None-Match on a write takes only *"))
        }
        (Some(Wanted::Any), None) => Ok(Condition::IfPresent),
        (Some(Wanted::Versions(versions)), None) => match versions.as_slice() {
            [one] => Ok(Condition::IfVersion(*one)),
            [] => Err(unmet()),
            _ => Err(Failure::invalid(
                "If-Match on a write takes one version or *",
            )),
        },
    }
}

/// What the conditions of a read come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadVerdict {
    /// Answer with the value.
    Send,
    /// The client has this version: 304.
    NotModified,
}

/// Holds a version against the conditions of a read.
///
/// # Errors
/// 412 when `If-Match` is not met; 400 for a header that is no list of tags.
pub(crate) fn of_read(headers: &HeaderMap, version: Seq) -> Outcome<ReadVerdict> {
    if let Some(wanted) = wanted(headers, &header::IF_MATCH, false)?
        && !meets(&wanted, version)
    {
        return Err(unmet());
    }
    // On a read a weak tag is as good as a strong one.
    let has = wanted(headers, &header::IF_NONE_MATCH, true)?;
    let same = has.is_some_and(|wanted| meets(&wanted, version));
    Ok(if same {
        ReadVerdict::NotModified
    } else {
        ReadVerdict::Send
    })
}

fn meets(wanted: &Wanted, version: Seq) -> bool {
    match wanted {
        Wanted::Any => true,
        Wanted::Versions(versions) => versions.contains(&version),
    }
}

fn unmet() -> Failure {
    Failure::new(
        Code::PreconditionFailed,
        "the condition does not hold for the stored version",
    )
}

fn wanted(headers: &HeaderMap, name: &HeaderName, weak_too: bool) -> Outcome<Option<Wanted>> {
    let malformed = || {
        Failure::invalid(format!("{name} must be * or a list of quoted ETags"))
            .detail("header", name.as_str())
    };
    let mut versions = Vec::new();
    let mut present = false;
    for line in headers.get_all(name) {
        present = true;
        let line = line.to_str().map_err(|_| malformed())?;
        if line.trim() == "*" {
            return Ok(Some(Wanted::Any));
        }
        // Empty elements of a list count for nothing, as the standard says.
        for tag in line.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            let (weak, quoted) = tag
                .strip_prefix("W/")
                .map_or((false, tag), |rest| (true, rest));
            let inner = quoted
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            let inner = inner.ok_or_else(malformed)?;
            // What a transaction has not committed has no version that somebody could know.
            if let Ok(number) = inner.parse()
                && number != UNCOMMITTED.get()
                && (!weak || weak_too)
                && versions.len() < TAGS_MAX
            {
                versions.push(Seq::new(number));
            }
        }
    }
    Ok(present.then_some(Wanted::Versions(versions)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn writes_take_one_version_or_presence() {
        use http::header::{IF_MATCH, IF_NONE_MATCH};
        let seven = Condition::IfVersion(Seq::new(7));
        for (pairs, expected) in [
            (vec![], Ok(Condition::Always)),
            (vec![(IF_MATCH, "\"7\"")], Ok(seven)),
            (vec![(IF_MATCH, "*")], Ok(Condition::IfPresent)),
            (vec![(IF_NONE_MATCH, "*")], Ok(Condition::IfAbsent)),
            (vec![(IF_NONE_MATCH, "\"7\"")], Err(400)),
            (vec![(IF_MATCH, "\"7\", \"8\"")], Err(400)),
            (vec![(IF_MATCH, "W/\"7\"")], Err(412)),
            (vec![(IF_MATCH, "\"abc\"")], Err(412)),
            (vec![(IF_MATCH, "7")], Err(400)),
            (vec![(IF_MATCH, "")], Err(412)),
            (vec![(IF_MATCH, ", \"7\",")], Ok(seven)),
            (vec![(IF_NONE_MATCH, "")], Err(400)),
            (vec![(IF_MATCH, "\"7\""), (IF_NONE_MATCH, "*")], Err(400)),
        ] {
            let found = of_write(&headers(&pairs)).map_err(|failure| failure.status().as_u16());
            assert_eq!(found, expected, "{pairs:?}");
        }
    }

    #[test]
    fn reads_compare_versions() {
        use http::header::{IF_MATCH, IF_NONE_MATCH};
        for (name, value, expected) in [
            (IF_NONE_MATCH, "\"7\"", Ok(ReadVerdict::NotModified)),
            (IF_NONE_MATCH, "W/\"7\"", Ok(ReadVerdict::NotModified)),
            (IF_NONE_MATCH, "\"1\", \"7\"", Ok(ReadVerdict::NotModified)),
            (IF_NONE_MATCH, "*", Ok(ReadVerdict::NotModified)),
            (IF_NONE_MATCH, "\"8\"", Ok(ReadVerdict::Send)),
            (IF_NONE_MATCH, "8", Err(400)),
            (IF_MATCH, "\"7\"", Ok(ReadVerdict::Send)),
            (IF_MATCH, "\"8\"", Err(412)),
            (IF_MATCH, "W/\"7\"", Err(412)),
        ] {
            let found = of_read(&headers(&[(name.clone(), value)]), Seq::new(7));
            assert_eq!(
                found.map_err(|f| f.status().as_u16()),
                expected,
                "{name} {value}"
            );
        }
    }
}
