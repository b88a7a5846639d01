//! Metrics by name, shown as Prometheus text or as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use super::histogram::Histogram;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricType {
    Counter,
    Gauge,
    Histogram,
}

/// One metric with all its samples.
#[derive(Debug)]
pub(crate) struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    samples: Vec<Sample>,
}

pub(super) type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
struct Sample {
    /// `_sum` and the like.
    suffix: &'static str,
    labels: Labels,
    value: f64,
}

/// Measurements without a fraction.
#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus knows only f64; exact up to 2^53"
)]
pub(super) fn whole(count: u64) -> f64 {
    count as f64
}

impl Family {
    pub(super) fn new(name: &'static str, kind: MetricType, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind,
            samples: Vec::new(),
        }
    }

    pub(super) fn with(mut self, labels: Labels, value: f64) -> Self {
        self.samples.push(Sample {
            suffix: "",
            labels,
            value,
        });
        self
    }

    pub(super) fn with_some(self, value: Option<f64>) -> Self {
        match value {
            Some(value) => self.with(Vec::new(), value),
            None => self,
        }
    }

    /// Adds the samples of one histogram: bounds with counts up to them, count, sum.
    pub(super) fn with_histogram(
        mut self,
        labels: &Labels,
        buckets: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) -> Self {
        let mut add = |suffix, bound: Option<String>, value| {
            let mut labels = labels.clone();
            labels.extend(bound.map(|bound| ("le", bound)));
            self.samples.push(Sample {
                suffix,
                labels,
                value,
            });
        };
        for (bound, up_to) in buckets {
            add("_bucket", Some(bound.to_string()), whole(up_to));
        }
        add("_bucket", Some("+Inf".to_owned()), whole(count));
        add("_sum", None, sum);
        add("_count", None, whole(count));
        self
    }

    pub(super) fn with_durations(self, labels: &Labels, histogram: &Histogram) -> Self {
        let (count, sum) = (histogram.count(), histogram.sum().as_secs_f64());
        self.with_histogram(labels, histogram.cumulative(), count, sum)
    }
}

/// As the text format of Prometheus, version 0.0.4.
pub(crate) fn render(families: &[Family]) -> String {
    let mut text = String::with_capacity(16 << 10);
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        let kind = match family.kind {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
        };
        let Family { name, help, .. } = family;
        push(
            &mut text,
            format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"),
        );
        for sample in &family.samples {
            let labels = labels_text(&sample.labels);
            push(
                &mut text,
                format_args!("{name}{}{labels} {}\n", sample.suffix, sample.value),
            );
        }
    }
    text
}

/// As `{name: value}`; labels stand in the name as Prometheus writes them, buckets are left out.
pub(crate) fn flat(families: &[Family]) -> Map<String, Value> {
    let samples = families.iter().flat_map(|family| {
        let shown = family
            .samples
            .iter()
            .filter(|sample| sample.suffix != "_bucket");
        shown.map(move |sample| (family.name, sample))
    });
    let named = samples.map(|(name, sample)| {
        let name = format!("{name}{}{}", sample.suffix, labels_text(&sample.labels));
        (
            name,
            Number::from_f64(sample.value).map_or(Value::Null, Value::Number),
        )
    });
    named.collect()
}

fn labels_text(labels: &Labels) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escaped = labels.iter().map(|(name, value)| {
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    });
    format!("{{{}}}", escaped.collect::<Vec<_>>().join(","))
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("writing to a string cannot fail");
}

pub(super) fn label(name: &'static str, value: impl Into<String>) -> Labels {
    vec![(name, value.into())]
}

pub(super) fn counter(name: &'static str, help: &'static str) -> Family {
    Family::new(name, MetricType::Counter, help)
}

pub(super) fn gauge(name: &'static str, help: &'static str) -> Family {
    Family::new(name, MetricType::Gauge, help)
}

pub(super) fn histogram(name: &'static str, help: &'static str) -> Family {
    Family::new(name, MetricType::Histogram, help)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn text_and_json_show_the_same_numbers() {
        let taken = Histogram::default();
        taken.observe(Duration::from_millis(3));
        let families = [
            counter("a_total", "A.").with(label("x", "1\"\\\n"), 2.0),
            gauge("b", "B.").with_some(None),
            histogram("c_seconds", "C.").with_durations(&label("t", "y"), &taken),
        ];
        let text = render(&families);
        assert!(text.starts_with(
            "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\\\"\\\\\\n\"} 2\n"
        ));
        assert!(
            !text.contains("# HELP b"),
            "what is not measured is not shown"
        );
        assert!(
            text.contains("c_seconds_bucket{t=\"y\",le=\"0.0025\"} 0\n"),
            "{text}"
        );
        assert!(
            text.contains("c_seconds_bucket{t=\"y\",le=\"0.005\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("c_seconds_bucket{t=\"y\",le=\"+Inf\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("c_seconds_sum{t=\"y\"} 0.003\nc_seconds_count{t=\"y\"} 1\n"),
            "{text}"
        );
        let flat = flat(&families);
        assert_eq!(flat["c_seconds_count{t=\"y\"}"], 1.0);
        assert_eq!(flat.len(), 3);
    }
}
