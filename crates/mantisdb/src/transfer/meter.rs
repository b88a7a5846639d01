//! Shows how far a transfer is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use mantis_env::Env;

use crate::exit::say;
use crate::table::thousands;

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows progress on standard error.
pub(super) struct Meter {
    env: Env,
    verb: &'static str,
    bar: Option<ProgressBar>,
    whole: Option<u64>,
    began: Duration,
    said: Duration,
}

impl Meter {
    /// Begins; `whole` is what [`Meter::show`] counts up to.
    pub(super) fn new(verb: &'static str, whole: Option<u64>, begun_at: u64) -> Self {
        let env = Env::real();
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = if whole.is_some() {
                "{msg} {wide_bar} {percent}% {elapsed} (left: {eta})"
            } else {
                "{spinner} {msg} {elapsed}"
            };
            let style = ProgressStyle::with_template(style).expect("the template is a constant");
            let bar = whole
                .map_or_else(ProgressBar::new_spinner, ProgressBar::new)
                .with_style(style);
            bar.with_position(begun_at)
        });
        let now = env.clock().monotonic();
        Self {
            env,
            verb,
            bar,
            whole,
            began: now,
            said: now,
        }
    }

    /// Shows how far it is, and how many entries that were.
    pub(super) fn show(&mut self, position: u64, entries: u64) {
        let text = format!("{} {}", thousands(entries), self.verb);
        if let Some(bar) = &self.bar {
            bar.set_position(position);
            bar.set_message(text);
            return;
        }
        let now = self.env.clock().monotonic();
        if now.saturating_sub(self.said) < LINE_EVERY {
            return;
        }
        self.said = now;
        let percent = self
            .whole
            .filter(|whole| *whole > 0)
            .map(|whole| position * 100 / whole);
        say(&percent.map_or_else(|| text.clone(), |percent| format!("{text} ({percent} %)")));
    }

    /// Ends: takes the bar away, and answers the time it all took.
    pub(super) fn end(self) -> Duration {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.env.clock().monotonic().saturating_sub(self.began)
    }
}

/// Entries a second, for the eye.
pub(super) fn per_second(entries: u64, seconds: f64) -> String {
    let ms = Duration::from_secs_f64(seconds.max(0.001))
        .as_millis()
        .max(1);
    let rate = u128::from(entries) * 1000 / ms;
    thousands(u64::try_from(rate).unwrap_or(u64::MAX))
}
