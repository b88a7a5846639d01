//! The nearest known name to one that is not known.

/// The candidate that looks most like `name`; `None` when none is near.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // About one slip in three letters: beyond that a proposal is a guess.
    let slips_max = 1 + name.chars().count() / 4;
    let scored = candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate));
    let best = scored.min_by_key(|&(distance, _)| distance)?;
    (best.0 <= slips_max).then_some(best.1)
}

/// How many letters must be changed, added, removed or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.to_lowercase().chars().collect();
    let to: Vec<char> = to.to_lowercase().chars().collect();
    let width = to.len() + 1;
    let mut before = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    for (i, &a) in from.iter().enumerate() {
        let mut row = vec![i + 1; width];
        for (j, &b) in to.iter().enumerate() {
            let changed = last[j] + usize::from(a != b);
            row[j + 1] = changed.min(last[j + 1] + 1).min(row[j] + 1);
            let swapped = i > 0 && j > 0 && a == to[j - 1] && from[i - 1] == b;
            if swapped {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word_and_strangers_find_none() {
        let known = ["port", "host", "data_dir", "cache_size"];
        for (slip, word) in [
            ("prot", Some("port")),
            ("porrt", Some("port")),
            ("Host", Some("host")),
            ("datadir", Some("data_dir")),
            ("cachesize", Some("cache_size")),
            ("elephant", None),
        ] {
            assert_eq!(nearest(slip, known), word, "{slip}");
        }
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("ab", "ba"), 1);
    }
}
