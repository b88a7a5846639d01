//! Who calls: credentials of a request, and the rule of a surface.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderValue, Uri, header};
use mantis_session::Principal;
use mantis_types::Code;
use subtle::ConstantTimeEq;

use crate::config::{Anonymous, Credentials};
use crate::failure::{Failure, Outcome};
use crate::peers::was_forwarded;
use crate::surfaces::Rule;

/// What a refused caller is asked for.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"mantisdb\"");
const CHALLENGE_PAGE: HeaderValue = HeaderValue::from_static("Basic realm=\"mantisdb\"");

/// A caller that has been recognised, or has shown nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// Which secret it was, for the rate limit; `None` without credentials.
    pub(crate) credential: Option<usize>,
}

impl Caller {
    const NOBODY: Self = Self {
        principal: Principal::Anonymous,
        credential: None,
    };

    /// Whether internals may be shown to it.
    pub(crate) fn is_known(self) -> bool {
        self.principal != Principal::Anonymous
    }
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) uri: &'a Uri,
    /// Both ends of the connection are loopback addresses.
    pub(crate) loopback: bool,
}

/// Recognises the caller and holds it to the surface's rule.
///
/// # Errors
/// 401 with a challenge for absent or wrong credentials, 403 for a known caller that may not.
pub(crate) fn admit(rule: Rule, door: Door<'_>, credentials: &Credentials) -> Outcome<Caller> {
    let shown = shown_token(door.headers, rule == Rule::AdminPage);
    let caller = match shown {
        Shown::Nothing => anonymous(door, credentials.anonymous),
        Shown::Token(token) => recognise(token.as_bytes(), credentials),
        Shown::Unreadable => None,
    };
    let refusal = |message: &'static str| {
        let failure = Failure::new(Code::Unauthenticated, message);
        let failure = failure.header(header::WWW_AUTHENTICATE, CHALLENGE);
        if rule == Rule::AdminPage {
            failure.header(header::WWW_AUTHENTICATE, CHALLENGE_PAGE)
        } else {
            failure
        }
    };
    // A wrong secret is refused on every door, the open ones included.
    let Some(caller) = caller else {
        return Err(refusal("the credentials are not valid"));
    };
    match rule {
        Rule::Open => Ok(caller),
        Rule::Data if caller.is_known() => Ok(caller),
        Rule::Admin | Rule::AdminPage if caller.principal == Principal::Admin => Ok(caller),
        Rule::Admin | Rule::AdminPage if caller.credential.is_some() => Err(Failure::new(
            Code::Forbidden,
            "this needs the credentials of an administrator",
        )),
        _ => Err(refusal(
            "credentials are needed: Authorization: Bearer <token>, or apikey: <token>",
        )),
    }
}

enum Shown<'a> {
    Nothing,
    Token(Cow<'a, str>),
    Unreadable,
}

fn shown_token(headers: &HeaderMap, basic: bool) -> Shown<'_> {
    let authorization = single(headers, header::AUTHORIZATION.as_str());
    let apikey = single(headers, "apikey");
    let given = match (authorization, apikey) {
        (Ok(None), Ok(None)) => return Shown::Nothing,
        (Ok(Some(authorization)), Ok(None)) => scheme(authorization, basic),
        (Ok(None), Ok(Some(key))) => Some(Cow::Borrowed(key)),
        // Both may be shown when they agree.
        (Ok(Some(authorization)), Ok(Some(key))) => {
            scheme(authorization, basic).filter(|token| token == key)
        }
        _ => None,
    };
    given
        .filter(|token| !token.is_empty())
        .map_or(Shown::Unreadable, Shown::Token)
}

/// The one value of a header; an error when it stands twice or is no text.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match (first, values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(|text| Some(text.trim())).map_err(|_| ()),
        _ => Err(()),
    }
}

fn scheme(authorization: &str, basic: bool) -> Option<Cow<'_, str>> {
    let (scheme, rest) = authorization.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Cow::Borrowed(rest));
    }
    if basic && scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(BASE64.decode(rest).ok()?).ok()?;
        return pair
            .split_once(':')
            .map(|(_, password)| Cow::Owned(password.to_owned()));
    }
    None
}

impl Credentials {
    /// Whom a secret belongs to; for front ends that have passwords. Takes as long for each.
    #[must_use]
    pub fn principal_of(&self, secret: &str) -> Option<Principal> {
        recognise(secret.as_bytes(), self).map(|caller| caller.principal)
    }

    /// Who shows no secret on a connection of its own, which no web page can open.
    #[must_use]
    pub const fn stranger(&self, is_loopback: bool) -> Principal {
        self.anonymous.principal(is_loopback)
    }
}

/// Compares with every secret, whichever fits, so that time does not tell which one it was.
fn recognise(token: &[u8], credentials: &Credentials) -> Option<Caller> {
    let mut found = None;
    let admin = credentials
        .admin_token
        .iter()
        .map(|secret| (secret, Principal::Admin));
    let owners = credentials
        .api_keys
        .iter()
        .map(|secret| (secret, Principal::Owner));
    for (index, (secret, principal)) in owners.chain(admin).enumerate() {
        let same: bool = secret.as_bytes().ct_eq(token).into();
        if same && !secret.is_empty() {
            found = Some(Caller {
                principal,
                credential: Some(index),
            });
        }
    }
    found
}

fn anonymous(door: Door<'_>, rule: Anonymous) -> Option<Caller> {
    let is_local = door.loopback && is_direct(door.headers, door.uri);
    Some(Caller {
        principal: rule.principal(is_local),
        ..Caller::NOBODY
    })
}

/// Whether a request over loopback was sent by a program of this machine, and not by a web page of
/// another origin (also one whose name was made to point here) or by a proxy for somebody else.
fn is_direct(headers: &HeaderMap, uri: &Uri) -> bool {
    let host = match headers.get(header::HOST).map(|host| host.to_str()) {
        Some(Ok(host)) => host,
        Some(Err(_)) => return false,
        None => uri
            .authority()
            .map_or("localhost", |authority| authority.as_str()),
    };
    let same_origin = match headers.get(header::ORIGIN).map(|origin| origin.to_str()) {
        None => true,
        Some(Ok(origin)) => origin
            .split_once("://")
            .is_some_and(|(_, origin)| origin == host),
        Some(Err(_)) => false,
    };
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    let same_site = matches!(site, None | Some(b"same-origin" | b"none"));
    is_loopback_name(host) && same_origin && same_site && !was_forwarded(headers)
}

fn is_loopback_name(authority: &str) -> bool {
    if let Some(v6) = authority.strip_prefix('[') {
        return v6
            .split_once(']')
            .is_some_and(|(address, _)| address == "::1");
    }
    let name = authority
        .rsplit_once(':')
        .map_or(authority, |(name, _)| name);
    let address = name.parse::<std::net::Ipv4Addr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
