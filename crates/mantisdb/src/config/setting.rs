//! The kinds of values that a setting can have: how each is written, read and shown.

use std::path::PathBuf;
use std::time::Duration;

use mantis_http::Network;
use mantis_types::{Durability, Isolation};
use serde_json::Value;

/// Stands in for a secret wherever settings are shown.
pub(crate) const MASKED: &str = "***";

/// A type of setting. Text is what file, environment and flags hold; an empty text is "unset".
pub(crate) trait Setting: Sized {
    /// What a valid value looks like, for messages.
    const FORM: &'static str;

    /// Whether the value must not be shown.
    const SECRET: bool = false;

    /// Reads the value. An error says what is wrong with the text, without repeating it.
    fn parse(text: &str) -> Result<Self, String>;

    /// The value as `GET /api/config` shows it.
    fn json(&self) -> Value;
}

impl Setting for String {
    const FORM: &'static str = "text";

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("must not be empty".to_owned());
        }
        Ok(text.to_owned())
    }

    fn json(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl Setting for PathBuf {
    const FORM: &'static str = "a path";

    fn parse(text: &str) -> Result<Self, String> {
        String::parse(text).map(Self::from)
    }

    fn json(&self) -> Value {
        Value::from(self.display().to_string())
    }
}

impl Setting for bool {
    const FORM: &'static str = "true or false";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(expected::<Self>()),
        }
    }

    fn json(&self) -> Value {
        Value::from(*self)
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => { $(
        impl Setting for $number {
            const FORM: &'static str = "a whole number";

            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| expected::<Self>())
            }

            fn json(&self) -> Value {
                Value::from(*self)
            }
        }
    )* };
}

whole_numbers!(u32, u64, usize);

/// The port of the HTTP listener; 0 takes a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port(pub(crate) u16);

impl Setting for Port {
    const FORM: &'static str = "a port from 0 (a free one) to 65535";

    fn parse(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Err("cannot be off: the server is asked about itself over HTTP".to_owned());
        }
        text.parse().map(Self).map_err(|_| expected::<Self>())
    }

    fn json(&self) -> Value {
        Value::from(self.0)
    }
}

/// The port of a listener that may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortOrOff(pub(crate) Option<u16>);

impl Setting for PortOrOff {
    const FORM: &'static str = "off, or a port from 0 (a free one) to 65535";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(None)),
            port => port
                .parse()
                .map(|port| Self(Some(port)))
                .map_err(|_| expected::<Self>()),
        }
    }

    fn json(&self) -> Value {
        self.0.map_or_else(|| Value::from("off"), Value::from)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) u64);

impl Bytes {
    /// The shortest text that is read as this.
    pub(crate) fn text(self) -> String {
        let units = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];
        let unit = units
            .iter()
            .find(|(unit, _)| self.0 > 0 && self.0.is_multiple_of(*unit));
        match unit {
            Some((unit, name)) => format!("{}{name}", self.0 / unit),
            None => self.0.to_string(),
        }
    }
}

impl Setting for Bytes {
    const FORM: &'static str = "a size such as 256MB, 4GiB or a number of bytes (1MB = 1048576)";

    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        let scale: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            "t" | "tb" | "tib" => 1 << 40,
            _ => return Err(expected::<Self>()),
        };
        let number: u64 = number.parse().map_err(|_| expected::<Self>())?;
        number
            .checked_mul(scale)
            .map(Self)
            .ok_or_else(|| "is more than can be counted".to_owned())
    }

    fn json(&self) -> Value {
        Value::from(self.0)
    }
}

impl Setting for Duration {
    const FORM: &'static str = "a time such as 30s, 500ms, 5m, 24h, 7d (a plain number is seconds)";

    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        let number: u64 = number.parse().map_err(|_| expected::<Self>())?;
        let seconds: u64 = match unit {
            "ms" => return Ok(Self::from_millis(number)),
            "" | "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(expected::<Self>()),
        };
        let seconds = number.checked_mul(seconds);
        seconds
            .map(Self::from_secs)
            .ok_or_else(|| "is more than can be counted".to_owned())
    }

    fn json(&self) -> Value {
        let ms = self.as_millis();
        Value::from(if ms.is_multiple_of(1000) {
            format!("{}s", ms / 1000)
        } else {
            format!("{ms}ms")
        })
    }
}

/// A list, written with commas in environment and flags, as a list in the file.
impl Setting for Vec<String> {
    const FORM: &'static str = "a list; with commas outside the file";

    fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim);
        Ok(parts
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect())
    }

    fn json(&self) -> Value {
        Value::from(self.clone())
    }
}

impl Setting for Vec<Network> {
    const FORM: &'static str = "a list of addresses or blocks such as 10.0.0.0/8";

    fn parse(text: &str) -> Result<Self, String> {
        let parts = Vec::<String>::parse(text)?;
        parts
            .iter()
            .map(|part| part.parse().map_err(|_| expected::<Self>()))
            .collect()
    }

    fn json(&self) -> Value {
        self.iter().map(ToString::to_string).collect()
    }
}

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The secret itself, for the one place that compares it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(MASKED)
    }
}

impl Setting for Secret {
    const FORM: &'static str = "text without blanks";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        // A header can carry nothing else, so another token could never be shown by a client.
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("must be printable ASCII without blanks".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    fn json(&self) -> Value {
        Value::from(MASKED)
    }
}

impl Setting for Vec<Secret> {
    const FORM: &'static str = "a list; with commas outside the file";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Vec::<String>::parse(text)?
            .iter()
            .map(|part| Secret::parse(part))
            .collect()
    }

    fn json(&self) -> Value {
        Value::from(vec![MASKED; self.len()])
    }
}

/// A setting that may be left out.
impl<T: Setting> Setting for Option<T> {
    const FORM: &'static str = T::FORM;
    const SECRET: bool = T::SECRET;

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Ok(None)
        } else {
            T::parse(text).map(Some)
        }
    }

    fn json(&self) -> Value {
        self.as_ref().map_or(Value::Null, Setting::json)
    }
}

/// An enum whose values are words.
macro_rules! words {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $vdoc:literal])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[doc = $vdoc])* $variant),* }

        impl $name {
            /// The word for it.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl Setting for $name {
            const FORM: &'static str = words!(@form $($word),*);

            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(expected::<Self>()),
                }
            }

            fn json(&self) -> Value {
                Value::from(self.as_str())
            }
        }
    };
    (@form $only:literal) => { $only };
    (@form $first:literal $(, $rest:literal)*) => { concat!("one of ", $first $(, ", ", $rest)*) };
}

words! {
    /// Which surroundings the server runs in.
    Profile {
        /// One's own machine: callers on it need no token.
        Development = "development",
        /// As production, to try it out.
        Staging = "staging",
        /// Secrets must be set and strong.
        Production = "production",
    }
}

words! {
    /// The least severe lines that are logged.
    Level {
        /// A human must look.
        Error = "error",
        /// Something is odd.
        Warn = "warn",
        /// What the server does.
        Info = "info",
        /// How it does it, request by request.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

words! {
    /// How a log line is written.
    LogFormat {
        /// For eyes.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// Where log lines go.
    LogOutput {
        /// Standard error.
        Stderr = "stderr",
        /// Standard output, after the ready line.
        Stdout = "stdout",
        /// `logging.file_path`, rotated.
        File = "file",
    }
}

words! {
    /// What callers without credentials may be, outside the development profile.
    AnonymousRole {
        /// May read and write all data, but not administer the server.
        Owner = "owner",
    }
}

impl Setting for Durability {
    const FORM: &'static str = "one of sync, interval, none";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|()| expected::<Self>())
    }

    fn json(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl Setting for Isolation {
    const FORM: &'static str = "one of read_committed, repeatable_read, snapshot, serializable";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|()| expected::<Self>())
    }

    fn json(&self) -> Value {
        Value::from(self.as_str())
    }
}

fn expected<T: Setting>() -> String {
    format!("must be {}", T::FORM)
}

fn split_unit(text: &str) -> (&str, &str) {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    (number, unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: Setting>(text: &str, json: &Result<Value, ()>) {
        assert_eq!(
            &T::parse(text).map(|v| v.json()).map_err(|_| ()),
            json,
            "{text:?}"
        );
    }

    #[test]
    fn sizes_are_read_with_and_without_units() {
        for (text, bytes) in [
            ("0", 0_u64),
            ("512", 512),
            ("1K", 1024),
            ("256MB", 256 << 20),
            ("10 MiB", 10 << 20),
            ("2gb", 2 << 30),
            ("1TiB", 1 << 40),
        ] {
            check::<Bytes>(text, &Ok(bytes.into()));
        }
        for text in [
            "",
            "MB",
            "-1",
            "1.5GB",
            "12 parsecs",
            "99999999999TB",
            "1e9",
        ] {
            check::<Bytes>(text, &Err(()));
        }
    }

    #[test]
    fn durations_are_read_with_and_without_units() {
        for (text, shown) in [
            ("30", "30s"),
            ("30s", "30s"),
            ("500ms", "500ms"),
            ("5m", "300s"),
            ("24h", "86400s"),
            ("7d", "604800s"),
            ("0", "0s"),
        ] {
            check::<Duration>(text, &Ok(shown.into()));
        }
        for text in ["", "s", "-3s", "1.5h", "3 fortnights", "99999999999999999d"] {
            check::<Duration>(text, &Err(()));
        }
    }

    #[test]
    fn secrets_are_masked_in_every_form() {
        let secret = Secret::parse("s3cr3t").unwrap();
        let shown = format!("{secret:?} {}", secret.json());
        assert!(!shown.contains("s3cr3t"), "{shown}");
        let list = Vec::<Secret>::parse("a1,b2").unwrap();
        assert_eq!(list.json(), serde_json::json!([MASKED, MASKED]));
        check::<Secret>("has blank", &Err(()));
        check::<Secret>("line\nbreak", &Err(()));
    }

    #[test]
    fn words_lists_and_ports_refuse_what_they_do_not_know() {
        check::<Level>("info", &Ok("info".into()));
        check::<Level>("INFO", &Err(()));
        check::<Option<AnonymousRole>>("", &Ok(Value::Null));
        check::<Option<AnonymousRole>>("root", &Err(()));
        check::<Vec<String>>("a, b,,c", &Ok(serde_json::json!(["a", "b", "c"])));
        check::<Port>("65535", &Ok(65535.into()));
        check::<Port>("65536", &Err(()));
        check::<Port>("off", &Err(()));
        check::<bool>("maybe", &Err(()));
    }
}
