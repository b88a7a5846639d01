//! Rate limits: a token bucket for each caller and class of routes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderValue, header};
use mantis_types::Code;
use parking_lot::Mutex;

use crate::failure::Failure;
use crate::surfaces::Rule;

/// Most buckets that are kept. At the limit those that are full again are dropped; a bucket that is
/// full says nothing that a new one would not say.
const BUCKETS_MAX: usize = 65_536;

/// Whose tokens are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Payer {
    /// A recognised caller, by its secret's place in the configuration.
    Credential(usize),
    /// A caller without credentials, by its address.
    Address(IpAddr),
}

/// Which limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RouteClass {
    Data,
    Admin,
}

impl RouteClass {
    /// The class of a surface; `None` for what is never limited.
    pub(crate) const fn of(rule: Rule) -> Option<Self> {
        match rule {
            Rule::Open => None,
            Rule::Data => Some(Self::Data),
            Rule::Admin | Rule::AdminPage => Some(Self::Admin),
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Admin => "admin",
        }
    }
}

/// The state of a payer's bucket after a request, as `RateLimit-*` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// Seconds until the bucket is full again, rounded up.
    pub(crate) reset_seconds: u64,
}

/// All buckets.
#[derive(Debug, Default)]
pub(crate) struct RateLimiter {
    /// Guards the buckets. Leaf lock; held for one look-up, at `BUCKETS_MAX` for one pass over all.
    buckets: Mutex<HashMap<(RouteClass, Payer), Bucket>>,
}

/// Millionths of a token, so that no part of one gets lost.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    micro_tokens: u64,
    filled_at: Duration,
}

const TOKEN: u64 = 1_000_000;

impl Bucket {
    fn refill(&mut self, now: Duration, limit: u32) {
        let passed = now.saturating_sub(self.filled_at);
        let micros = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        let full = u64::from(limit) * TOKEN;
        self.micro_tokens = micros
            .saturating_mul(u64::from(limit))
            .saturating_add(self.micro_tokens);
        self.micro_tokens = self.micro_tokens.min(full);
        self.filled_at = now;
    }

    fn allowance(&self, limit: u32) -> Allowance {
        let missing = (u64::from(limit) * TOKEN).saturating_sub(self.micro_tokens);
        let rate = u64::from(limit.max(1)) * TOKEN;
        Allowance {
            limit,
            remaining: u32::try_from(self.micro_tokens / TOKEN).unwrap_or(limit),
            reset_seconds: missing.div_ceil(rate),
        }
    }
}

impl RateLimiter {
    /// Takes one token; `limit` tokens come back each second, and as many fit into the bucket.
    /// Answers `None` when there is no limit.
    ///
    /// # Errors
    /// The state of the bucket when it is empty.
    pub(crate) fn spend(
        &self,
        class: RouteClass,
        payer: Payer,
        limit: u32,
        now: Duration,
    ) -> Result<Option<Allowance>, Allowance> {
        if limit == 0 {
            return Ok(None);
        }
        let mut buckets = self.buckets.lock();
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&(class, payer)) {
            let full = u64::from(limit) * TOKEN;
            buckets.retain(|_, bucket| {
                bucket.refill(now, limit);
                bucket.micro_tokens < full
            });
            if buckets.len() >= BUCKETS_MAX {
                return Err(Allowance {
                    limit,
                    remaining: 0,
                    reset_seconds: 1,
                });
            }
        }
        let new = Bucket {
            micro_tokens: u64::from(limit) * TOKEN,
            filled_at: now,
        };
        let bucket = buckets.entry((class, payer)).or_insert(new);
        bucket.refill(now, limit);
        match bucket.micro_tokens.checked_sub(TOKEN) {
            Some(left) => {
                bucket.micro_tokens = left;
                Ok(Some(bucket.allowance(limit)))
            }
            None => Err(bucket.allowance(limit)),
        }
    }
}

impl Allowance {
    /// The headers that tell a caller where it stands.
    pub(crate) fn headers(self) -> [(http::HeaderName, HeaderValue); 3] {
        let name = http::HeaderName::from_static;
        [
            (name("ratelimit-limit"), HeaderValue::from(self.limit)),
            (
                name("ratelimit-remaining"),
                HeaderValue::from(self.remaining),
            ),
            (
                name("ratelimit-reset"),
                HeaderValue::from(self.reset_seconds),
            ),
        ]
    }

    /// The refusal of a caller whose bucket is empty.
    pub(crate) fn refusal(self) -> Failure {
        let failure = Failure::new(Code::RateLimited, "too many requests")
            .detail("limit_per_second", self.limit)
            .without_header(&header::RETRY_AFTER)
            .header(
                header::RETRY_AFTER,
                HeaderValue::from(self.reset_seconds.max(1)),
            );
        self.headers()
            .into_iter()
            .fold(failure, |failure, (name, value)| {
                failure.header(name, value)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Duration = Duration::from_millis;

    fn payer(number: u32) -> Payer {
        Payer::Address(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn a_bucket_empties_and_fills_with_time() {
        let limiter = RateLimiter::default();
        let spend = |ms| limiter.spend(RouteClass::Data, payer(1), 2, AT(ms));
        assert_eq!(spend(0).unwrap().unwrap().remaining, 1);
        assert_eq!(spend(0).unwrap().unwrap().remaining, 0);
        let empty = spend(0).unwrap_err();
        assert_eq!((empty.remaining, empty.reset_seconds), (0, 1));
        assert!(spend(499).is_err());
        assert!(spend(500).is_ok());
        assert!(spend(510).is_err());
    }

    #[test]
    fn callers_and_classes_do_not_spend_each_others_tokens() {
        let limiter = RateLimiter::default();
        for (class, payer) in [
            (RouteClass::Data, payer(1)),
            (RouteClass::Data, payer(2)),
            (RouteClass::Admin, payer(1)),
            (RouteClass::Data, Payer::Credential(1)),
        ] {
            assert!(limiter.spend(class, payer, 1, AT(0)).is_ok());
            assert!(limiter.spend(class, payer, 1, AT(0)).is_err());
        }
    }

    #[test]
    fn zero_is_no_limit() {
        let limiter = RateLimiter::default();
        assert_eq!(
            limiter.spend(RouteClass::Data, payer(1), 0, AT(0)),
            Ok(None)
        );
        assert!(limiter.buckets.lock().is_empty());
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let limiter = RateLimiter::default();
        let max = u32::try_from(BUCKETS_MAX).unwrap();
        for number in 0..max {
            assert!(
                limiter
                    .spend(RouteClass::Data, payer(number), 1, AT(0))
                    .is_ok()
            );
        }
        assert!(
            limiter
                .spend(RouteClass::Data, payer(max), 1, AT(0))
                .is_err(),
            "no room"
        );
        assert!(
            limiter
                .spend(RouteClass::Data, payer(max), 1, AT(2000))
                .is_ok(),
            "all are full again"
        );
        assert_eq!(limiter.buckets.lock().len(), 1);
    }
}
