//! A floor, and what was measured beside it.

use serde::Serialize;

use crate::measure::Figure;

/// Which side of the floor is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    AtLeast,
    AtMost,
}

/// A promise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floor {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// The durability class, or where the data stands.
    pub(super) class: &'static str,
    pub(super) floor: f64,
    pub(super) unit: &'static str,
    pub(super) side: Side,
}

impl Floor {
    /// At least so many operations a second.
    pub(super) const fn rate(
        id: &'static str,
        title: &'static str,
        class: &'static str,
        floor: f64,
    ) -> Self {
        Self {
            id,
            title,
            class,
            floor,
            unit: "/s",
            side: Side::AtLeast,
        }
    }

    /// At most so much of something.
    pub(super) const fn at_most(
        id: &'static str,
        title: &'static str,
        class: &'static str,
        floor: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            id,
            title,
            class,
            floor,
            unit,
            side: Side::AtMost,
        }
    }

    /// What was measured, beside this.
    pub(super) fn against(&self, measured: f64, cpu_us: Option<f64>, note: String) -> Outcome {
        let met = match self.side {
            Side::AtLeast => measured >= self.floor,
            Side::AtMost => measured <= self.floor,
        };
        let Self {
            id,
            title,
            class,
            floor,
            unit,
            side,
        } = *self;
        Outcome {
            id,
            title,
            class,
            measured,
            side: if side == Side::AtLeast { ">=" } else { "<=" },
            floor,
            unit,
            met,
            cpu_us,
            note,
        }
    }

    /// A rate of operations, beside this.
    pub(super) fn against_rate(&self, figure: &Figure) -> Outcome {
        let note = figure.latency.map_or(String::new(), |latency| {
            format!(
                "p50 {:.0} p99 {:.0} max {:.0} us",
                latency.p50, latency.p99, latency.max
            )
        });
        self.against(figure.per_second, Some(figure.cpu_us), note)
    }
}

/// What became of a promise.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) id: &'static str,
    title: &'static str,
    class: &'static str,
    pub(super) measured: f64,
    side: &'static str,
    floor: f64,
    unit: &'static str,
    pub(super) met: bool,
    cpu_us: Option<f64>,
    note: String,
}

pub(super) fn print_head() {
    let columns = ["row", "class", "measured", "floor", "us CPU"];
    let [row, class, measured, floor, cpu] = columns;
    println!("\n{row:20} {class:9} {measured:>14} {floor:>16} {cpu:>8}");
}

impl Outcome {
    pub(super) fn print(&self) {
        let measured = format!("{} {}", short(self.measured), self.unit);
        let floor = format!("{} {} {}", self.side, short(self.floor), self.unit);
        let cpu = self.cpu_us.map(|cpu| format!("{cpu:.2}"));
        let cpu = cpu.unwrap_or_else(|| "-".to_owned());
        let met = if self.met { "met" } else { "MISSED" };
        let Self {
            id, class, note, ..
        } = self;
        println!("{id:20} {class:9} {measured:>14} {floor:>16} {cpu:>8} {met:6} {note}");
    }
}

/// Whole thousands without digits behind the point, small figures with two.
fn short(figure: f64) -> String {
    if figure >= 1000.0 {
        format!("{figure:.0}")
    } else {
        format!("{figure:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_is_met_on_its_good_side() {
        let rate = Floor::rate("put", "puts", "none", 100.0);
        let most = Floor::at_most("entry", "bytes", "none", 100.0, "B");
        let met = |floor: &Floor, measured| floor.against(measured, None, String::new()).met;
        assert!(met(&rate, 100.0) && !met(&rate, 99.0));
        assert!(met(&most, 100.0) && !met(&most, 101.0));
    }
}
