//! The terms of a call, from its headers.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use mantis_session::TransactionKey;
use mantis_types::Seq;
use tokio::time::Instant;

use crate::access::Caller;
use crate::answer::DURABILITY_HEADER;
use crate::call::{Call, no_such_transaction};
use crate::config::HttpSettings;
use crate::failure::{Failure, Outcome};
use crate::surfaces::Surface;

const TIMEOUT: HeaderName = HeaderName::from_static("x-mantis-timeout-ms");
const MIN_SEQ: HeaderName = HeaderName::from_static("x-mantis-min-seq");
const TRANSACTION: HeaderName = HeaderName::from_static("x-mantis-transaction");

/// Reads deadline, durability, minimum Seq and transaction.
///
/// # Errors
/// 400 naming the header; 404 for what cannot be the id of a transaction.
pub(super) fn of(
    headers: &HeaderMap,
    settings: &HttpSettings,
    surface: &'static Surface,
    caller: Caller,
) -> Outcome<Call> {
    let wish = number(headers, &TIMEOUT)?.map(Duration::from_millis);
    if wish.is_some_and(|wish| wish.is_zero()) {
        return Err(malformed(&TIMEOUT, "at least 1"));
    }
    let by_caller = wish.is_some_and(|wish| wish < settings.request_timeout);
    let span = wish
        .unwrap_or(settings.request_timeout)
        .min(settings.request_timeout);
    let durability = match headers.get(DURABILITY_HEADER).map(|word| word.to_str()) {
        None => settings.durability,
        Some(Ok(word)) => word
            .parse()
            .map_err(|()| malformed(&DURABILITY_HEADER, "sync, interval or none"))?,
        Some(Err(_)) => return Err(malformed(&DURABILITY_HEADER, "sync, interval or none")),
    };
    let min_seq = number(headers, &MIN_SEQ)?.map(Seq::new);
    let transaction = transaction(headers, surface)?;
    if let (Some(_), Some(_)) = (transaction, min_seq) {
        let message = format!(
            "{MIN_SEQ} belongs to the beginning of a transaction: within one the view does not move"
        );
        return Err(Failure::invalid(message).detail("header", MIN_SEQ.as_str()));
    }
    let deadline = Instant::now() + span;
    Ok(Call {
        surface,
        caller,
        deadline,
        by_caller,
        durability,
        min_seq,
        transaction,
        under_key: None,
    })
}

/// The transaction that a request joins.
fn transaction(headers: &HeaderMap, surface: &Surface) -> Outcome<Option<TransactionKey>> {
    let mut lines = headers.get_all(TRANSACTION).iter();
    let Some(id) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(malformed(&TRANSACTION, "one id"));
    }
    if !surface.is_data() {
        let message =
            format!("the header {TRANSACTION} has no meaning here: this is no route of data");
        return Err(Failure::invalid(message).detail("header", TRANSACTION.as_str()));
    }
    let key = id.to_str().ok().and_then(|id| id.trim().parse().ok());
    key.map(Some).ok_or_else(no_such_transaction)
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Outcome<Option<u64>> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = value.to_str().ok().map(str::trim);
    let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse().ok());
    number
        .map(Some)
        .ok_or_else(|| malformed(name, "a whole number"))
}

fn malformed(name: &HeaderName, expected: &str) -> Failure {
    let message = format!("the header {name} must be {expected}");
    Failure::invalid_value(message).detail("header", name.as_str())
}
