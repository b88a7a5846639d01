//! Error kinds and codes: one table that every front end reads, and nothing else.

use std::fmt;

/// What the caller should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Correct the request.
    Invalid,
    /// Show credentials.
    Unauthenticated,
    /// Ask for the right.
    Forbidden,
    /// Create it, or look elsewhere.
    NotFound,
    /// Choose other values.
    Constraint,
    /// Read again, then decide.
    Precondition,
    /// Run the transaction again.
    Conflict,
    /// Use something else.
    Unsupported,
    /// Retry, or allow more time.
    Timeout,
    /// Wait, or ask for less.
    Exhausted,
    /// Retry later.
    Unavailable,
    /// Go to the writer, or call a human.
    ReadOnly,
    /// Reconnect.
    Closed,
    /// Call a human, restore.
    Corrupt,
    /// Report a bug.
    Internal,
}

impl ErrorKind {
    /// Whether the same call may succeed when it is simply made again.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::Conflict | Self::Timeout | Self::Exhausted | Self::Unavailable
        )
    }
}

macro_rules! codes {
    ($($name:ident $word:literal $kind:ident $http:literal $sqlstate:literal $resp:literal;)*) => {
        /// The machine word of an error, with what each protocol says for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code { $(
            #[doc = concat!("`", $word, "`")]
            $name,
        )* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word in `code` of an HTTP error.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $word),* } }
            /// What the caller should do.
            #[must_use]
            pub const fn kind(self) -> ErrorKind { match self { $(Self::$name => ErrorKind::$kind),* } }
            /// The HTTP status.
            #[must_use]
            pub const fn http_status(self) -> u16 { match self { $(Self::$name => $http),* } }
            /// The five characters of the SQL standard.
            #[must_use]
            pub const fn sqlstate(self) -> &'static str { match self { $(Self::$name => $sqlstate),* } }
            /// The first word of a RESP error.
            #[must_use]
            pub const fn resp_prefix(self) -> &'static str { match self { $(Self::$name => $resp),* } }
        }
    };
}

codes! {
    InvalidRequest       "invalid_request"       Invalid         400 "22023" "ERR";
    InvalidJson          "invalid_json"          Invalid         400 "22P02" "ERR";
    InvalidValue         "invalid_value"         Invalid         400 "22P02" "ERR";
    TooLarge             "too_large"             Invalid         413 "54000" "ERR";
    WrongType            "wrong_type"            Invalid         409 "42809" "WRONGTYPE";
    Unauthenticated      "unauthenticated"       Unauthenticated 401 "28000" "NOAUTH";
    Forbidden            "forbidden"             Forbidden       403 "42501" "NOPERM";
    PolicyViolation      "policy_violation"      Forbidden       403 "42501" "NOPERM";
    NotFound             "not_found"             NotFound        404 "42P01" "ERR";
    Gone                 "gone"                  NotFound        410 "55000" "ERR";
    ConstraintViolation  "constraint_violation"  Constraint      422 "23514" "ERR";
    UniqueViolation      "unique_violation"      Constraint      409 "23505" "ERR";
    IdempotencyMismatch  "idempotency_mismatch"  Constraint      422 "23514" "ERR";
    PreconditionFailed   "precondition_failed"   Precondition    412 "55000" "ERR";
    SerializationFailure "serialization_failure" Conflict        409 "40001" "TRYAGAIN";
    Deadlock             "deadlock"              Conflict        409 "40P01" "TRYAGAIN";
    BatchAborted         "batch_aborted"         Conflict        409 "40001" "TRYAGAIN";
    TransactionFinished  "transaction_finished"  Invalid         409 "25000" "ERR";
    SnapshotTooOld       "snapshot_too_old"      Conflict        409 "40001" "TRYAGAIN";
    NotImplemented       "not_implemented"       Unsupported     501 "0A000" "ERR";
    Timeout              "timeout"               Timeout         408 "57014" "ERR";
    InProgress           "in_progress"           Timeout         409 "55006" "TRYAGAIN";
    DeadlineExceeded     "deadline_exceeded"     Timeout         408 "57014" "ERR";
    RateLimited          "rate_limited"          Exhausted       429 "53000" "ERR";
    PoolExhausted        "pool_exhausted"        Exhausted       503 "53300" "ERR";
    OutOfMemory          "out_of_memory"         Exhausted       503 "53200" "OOM";
    DiskFull             "disk_full"             Exhausted       507 "53100" "MISCONF";
    Starting             "starting"              Unavailable     503 "57P03" "LOADING";
    CircuitOpen          "circuit_open"          Unavailable     503 "57P03" "TRYAGAIN";
    ReadOnly             "read_only"             ReadOnly        503 "25006" "READONLY";
    SyncFailed           "sync_failed"           ReadOnly        503 "25006" "MISCONF";
    ShuttingDown         "shutting_down"         Closed          503 "57P01" "ERR";
    PoolClosed           "pool_closed"           Closed          503 "57P01" "ERR";
    Corrupt              "corrupt"               Corrupt         500 "XX001" "ERR";
    Internal             "internal"              Internal        500 "XX000" "ERR";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_statuses_are_errors() {
        let mut words: Vec<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        words.sort_unstable();
        let all = words.len();
        words.dedup();
        assert_eq!(words.len(), all);
        for code in Code::ALL {
            assert!((400..600).contains(&code.http_status()), "{code}");
            assert_eq!(code.sqlstate().len(), 5, "{code}");
        }
    }
}
