//! Every door against every kind of credentials.

use super::*;

fn credentials(anonymous: Anonymous) -> Credentials {
    Credentials {
        admin_token: Some("admin-secret".into()),
        api_keys: vec!["key-one".into(), "key-two".into()],
        anonymous,
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, value.parse().unwrap());
    }
    map
}

fn check(rule: Rule, pairs: &[(&'static str, &str)], loopback: bool, anonymous: Anonymous) -> u16 {
    let (headers, uri) = (headers(pairs), Uri::from_static("/x"));
    let door = Door {
        headers: &headers,
        uri: &uri,
        loopback,
    };
    match admit(rule, door, &credentials(anonymous)) {
        Ok(_) => 200,
        Err(failure) => {
            let status = failure.status().as_u16();
            let challenged = failure.headers().contains_key(header::WWW_AUTHENTICATE);
            assert_eq!(challenged, status == 401);
            status
        }
    }
}

const LOCAL: (&str, &str) = ("host", "127.0.0.1:8080");

#[test]
fn tokens_open_what_they_may() {
    let none = Anonymous::Refused;
    for (rule, header, value, expected) in [
        (Rule::Data, "authorization", "Bearer key-one", 200),
        (Rule::Data, "authorization", "bearer  key-two", 200),
        (Rule::Data, "apikey", "key-two", 200),
        (Rule::Data, "authorization", "Bearer admin-secret", 200),
        (Rule::Data, "authorization", "Bearer key-on", 401),
        (Rule::Data, "authorization", "Bearer ", 401),
        (Rule::Data, "authorization", "key-one", 401),
        (
            Rule::Data,
            "authorization",
            "Basic a2V5LW9uZTprZXktb25l",
            401,
        ),
        (Rule::Open, "authorization", "Bearer wrong", 401),
        (Rule::Admin, "authorization", "Bearer key-one", 403),
        (Rule::Admin, "apikey", "admin-secret", 200),
        (
            Rule::Admin,
            "authorization",
            "Basic eDphZG1pbi1zZWNyZXQ=",
            401,
        ),
        (
            Rule::AdminPage,
            "authorization",
            "Basic eDphZG1pbi1zZWNyZXQ=",
            200,
        ),
        (Rule::AdminPage, "authorization", "Basic eDp3cm9uZw==", 401),
    ] {
        assert_eq!(
            check(rule, &[LOCAL, (header, value)], true, none),
            expected,
            "{rule:?} {value}"
        );
    }
    let both = |key| {
        check(
            Rule::Data,
            &[("authorization", "Bearer key-one"), ("apikey", key)],
            true,
            none,
        )
    };
    assert_eq!(both("key-one"), 200);
    assert_eq!(both("key-two"), 401);
    let twice = [("apikey", "key-one"), ("apikey", "key-two")];
    assert_eq!(check(Rule::Data, &twice, true, none), 401);
}

#[test]
fn without_credentials_only_the_profile_decides() {
    use Anonymous::{Owner, OwnerOnLoopback, Refused};
    for (rule, loopback, anonymous, expected) in [
        (Rule::Open, false, Refused, 200),
        (Rule::Data, true, Refused, 401),
        (Rule::Data, true, OwnerOnLoopback, 200),
        (Rule::Data, false, OwnerOnLoopback, 401),
        (Rule::Data, false, Owner, 200),
        (Rule::Admin, true, OwnerOnLoopback, 401),
        (Rule::Admin, true, Owner, 401),
        (Rule::AdminPage, true, OwnerOnLoopback, 401),
    ] {
        let status = check(rule, &[LOCAL], loopback, anonymous);
        assert_eq!(status, expected, "{rule:?} {loopback} {anonymous:?}");
    }
}

#[test]
fn pages_of_other_origins_and_proxies_are_not_the_owner() {
    for (pairs, expected) in [
        (vec![("host", "localhost:8080")], 200),
        (vec![("host", "[::1]:8080")], 200),
        (vec![("host", "127.8.8.8")], 200),
        (vec![("host", "rebound.example:8080")], 401),
        (vec![("host", "localhost.example")], 401),
        (vec![LOCAL, ("origin", "http://127.0.0.1:8080")], 200),
        (vec![LOCAL, ("origin", "http://evil.example")], 401),
        (vec![LOCAL, ("origin", "null")], 401),
        (vec![LOCAL, ("sec-fetch-site", "cross-site")], 401),
        (vec![LOCAL, ("x-forwarded-for", "1.2.3.4")], 401),
    ] {
        let status = check(Rule::Data, &pairs, true, Anonymous::OwnerOnLoopback);
        assert_eq!(status, expected, "{pairs:?}");
    }
}

#[test]
fn no_configured_secret_is_no_open_door() {
    let (headers, uri) = (headers(&[("apikey", "x")]), Uri::from_static("/x"));
    let door = Door {
        headers: &headers,
        uri: &uri,
        loopback: true,
    };
    let empty = Credentials {
        admin_token: Some(String::new()),
        ..Credentials::default()
    };
    assert!(admit(Rule::Admin, door, &empty).is_err());
    assert!(admit(Rule::Data, door, &Credentials::default()).is_err());
}
